"""CSV bodies are read as the training rows of the served detector were."""

import numpy as np
import pandas as pd
import pytest

from tests.serving.services import LENGTH, saved_detector, service
from tsad.data.io.read_options import ReadOptions
from tsad.series import Series

CSV = "text/csv"
READING = ReadOptions(
    time="when",
    time_zone="Europe/Berlin",
    day_first=True,
    separator=";",
    decimal=",",
    missing="ffill",
    missing_limit=5,
    empty=("n/k",),
    step_seconds=60.0,
)


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """A service whose detector was trained on a German file, the detector, and rows that it has not seen."""
    folder = tmp_path_factory.mktemp("german")
    detector, rows = saved_detector(folder / "detector")
    READING.model_copy(update={"features": rows.features}).save(folder / "detector")
    with service(folder / "detector", folder / "state") as client:
        yield client, detector, rows


def text(rows, times, empty=()):
    frame = pd.DataFrame(rows.values, columns=list(rows.features))
    cells = frame.map(lambda value: repr(float(value)).replace(".", ","))
    for row in empty:
        cells.iloc[row, 1] = "n/k"
    return cells.assign(when=times, note="x").to_csv(index=False, sep=";")


def local(count, gap_at=None, start="2024-10-27 00:30"):
    """Returns moments on a clock that is set back at 3 o'clock, a minute apart, and possibly an hour later from one on."""
    moments = pd.date_range(start, periods=count, freq="min", tz="Europe/Berlin")
    if gap_at is not None:
        moments = moments.where(np.arange(count) < gap_at, moments + pd.Timedelta("1h"))
    return moments.strftime("%d.%m.%Y %H:%M:%S")


def test_a_body_of_the_form_of_the_training_file_is_scored_like_that(german):
    client, detector, rows = german
    answer = client.post("/api/score", text(rows, local(100), empty=[50, 51]), Content_Type=CSV)
    assert answer.status == 200, answer.json
    values = rows.values.copy()
    values[50:52, 1] = values[49, 1]
    expected = detector.score(Series(values, rows.features)).values
    np.testing.assert_allclose(np.array(answer.json["score"], float), expected, rtol=1e-6)
    assert answer.json["ignored"] == ["note"]
    assert answer.json["times"][0] == "27.10.2024 00:30:00"


def test_a_gap_begins_a_segment_as_in_training(german):
    client, detector, rows = german
    answer = client.post("/api/score", text(rows, local(100, gap_at=40, start="2024-06-01 10:00")), Content_Type=CSV)
    expected = detector.score(Series(rows.values, rows.features, boundaries=(40,))).values
    np.testing.assert_allclose(np.array(answer.json["score"], float), expected, rtol=1e-6)
    assert np.isnan(expected[40 : 40 + LENGTH - 1]).all()


def test_times_may_be_absent(german):
    client, detector, rows = german
    body = "\n".join(line.rsplit(";", 2)[0] for line in text(rows, local(100)).splitlines())
    answer = client.post("/api/score", body, Content_Type=CSV)
    np.testing.assert_allclose(np.array(answer.json["score"], float), detector.score(rows).values, rtol=1e-6)
    assert answer.json["times"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.replace("s1;", "other;", 1), "body: column 's1' is missing"),
        (lambda body: body.replace("27.10.2024 00:45:00", "27.10.2024 00:40:00"), "must ascend, but row 15"),
        (lambda body: body.replace("27.10.2024 00:45:00", "soon"), "must hold timestamps, but row 15 has 'soon'"),
        (lambda body: body.replace(";x\n", ";x;y\n", 5), "every line must have 8 cells"),
    ],
)
def test_what_cannot_be_read_is_named_without_a_path_of_the_server(german, change, message):
    client, _, rows = german
    answer = client.post("/api/score", change(text(rows, local(100))), Content_Type=CSV)
    assert answer.status == 400
    assert message in str(answer.json)
    assert "/tmp" not in str(answer.json)
