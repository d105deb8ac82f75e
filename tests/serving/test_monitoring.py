"""The rows that were scored lately: how many are kept, and a threshold that outlives the service."""

import json

import numpy as np
import pytest

from tests.serving.services import saved_detector
from tsad.drift import PROFILE, RECALIBRATIONS, Drift, Profile
from tsad.errors import DataError, DetectorError
from tsad.serving.errors import RequestError
from tsad.serving.monitoring import LEAST, MOST, THRESHOLD, RecentRows
from tsad.serving.row_sources import rows_to_keep
from tsad.serving.served_model import open_model

EXTRA = {"source", "sources", "threshold", "previous_threshold"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory, folder):
    return saved_detector(folder / "detector")[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def served(folder, rows):
    return open_model(str(folder / "detector"), folder)


def recent_of(served, state, note=lambda done: None):
    return RecentRows(served.calibrated(), state, note)


def filled(recent, rows, served, times=3):
    for _ in range(times):
        scores = served.detector.score(rows)
        recent.take(rows.values, scores.values, served.detector.flag(scores))
    return recent


def test_what_came_last_is_kept_and_no_more(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    for place in range(300):
        recent.take(rows.values + place, np.full(100, float(place)), np.full(100, place > 199))
    kept, scores, flags = recent._now()
    assert len(kept) == len(scores) == len(flags) == MOST
    assert scores[0] == 100
    assert scores[-1] == 299
    assert flags.tolist() == (scores > 199).tolist()
    recent.take(np.zeros((3 * MOST, 6), np.float32), np.zeros(3 * MOST), np.zeros(3 * MOST, bool))
    assert not any(each.any() for each in recent._now())


def test_no_source_feeds_another_and_production_is_never_crowded_out(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    recent.take(rows.values, np.arange(100.0), np.zeros(100, bool))
    for place in range(40):
        recent.take(rows.values + 50, np.full(100, 1e6), np.ones(100, bool), f"click{place}")
    assert recent._now()[1].max() == 99
    assert len(recent._sources) == 8
    assert recent.recalibrate()["after"]["value"] < 100
    found = recent.drift("click39")
    assert (found["alert_rate"], recent.drift()["alert_rate"]) == (1, 0)
    assert {"name": "production", "rows": 100, "scored": 100, "alert_rate": 0.0} in found["sources"]
    with pytest.raises(RequestError, match=r"no rows of a source 'click0'; there are click33, .*production"):
        recent.recalibrate("click0")
    done = recent.recalibrate("click39")
    assert (done["after"]["value"], done["source"]) == (1e6, "service:click39")


def test_a_wide_table_keeps_fewer_rows_but_enough_for_a_threshold():
    assert [rows_to_keep(MOST, LEAST, features) for features in (1, 200, 400, 10_000, 100_000)] == [
        MOST, MOST, MOST // 2, 400, LEAST,
    ]  # fmt: skip


def test_rows_are_compared_as_the_detector_sees_them(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    recent.take(rows.values.astype(np.float64) * (1 + 1e-9), np.zeros(100), np.zeros(100, bool))
    seen = recent._now()[0]
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, rows.values)


def test_rows_without_a_score_count_for_drift_and_not_for_the_threshold(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    recent.take(rows.values, np.full(100, np.nan), np.zeros(100, bool))
    found = recent.drift()
    assert (found["rows"], found["scores"], found["alert_rate"]) == (100, None, None)
    with pytest.raises(
        DataError,
        match="100 recent scores, but there are 0 of the source 'production'; score rows of it",
    ):
        recent.recalibrate()
    assert not (tmp_path / RECALIBRATIONS).exists()


def test_of_the_scored_rows_the_share_that_was_flagged_is_told_beside_that_of_the_validation_rows(
    served, rows, tmp_path
):
    recent = recent_of(served, tmp_path)
    scores, flags = np.arange(100.0), np.arange(100) >= 90
    scores[:20] = np.nan
    recent.take(rows.values, scores, flags)
    found = recent.drift()
    assert found["alert_rate"] == 10 / 80
    assert found["expected_alert_rate"] == Profile.load(served.source.folder.detector).alert_rate > 0


def test_nothing_is_said_of_no_rows_and_of_a_model_without_profile(served, folder, rows, tmp_path):
    found = recent_of(served, tmp_path).drift()
    assert (found["state"], found["message"]) == ("unknown", "no rows of the source 'production' were scored yet")
    kept = (folder / "detector" / PROFILE).read_bytes()
    (folder / "detector" / PROFILE).unlink()
    try:
        found = filled(recent_of(served, tmp_path), rows, served).drift()
    finally:
        (folder / "detector" / PROFILE).write_bytes(kept)
    assert (found["state"], found["rows"], found["features"]) == ("unknown", 300, [])
    assert found.keys() == Drift.model_fields.keys() | EXTRA
    assert "profile.json" in found["message"]


def test_recalibration_is_told_logged_and_taken_up_again(served, folder, rows, tmp_path):
    told = []
    before = served.detector.threshold
    done = filled(recent_of(served, tmp_path, told.append), rows, served).recalibrate()
    assert done["rows"] == 3 * (100 - served.detector.scorer.lookback)
    assert [record.model_dump(mode="json") for record in told] == [done]
    assert done["source"] == "service:production"
    assert served.detector.threshold != before
    (line,) = map(json.loads, (tmp_path / RECALIBRATIONS).read_text().splitlines())
    assert line == done
    again = open_model(str(folder / "detector"), folder)
    recent_of(again, tmp_path)
    assert again.detector.threshold == served.detector.threshold
    assert again.pyfunc.unwrap_python_model().detector.digest == again.detector.digest == served.detector.digest


def test_the_last_recalibration_is_undone_once_also_after_a_restart(served, folder, rows, tmp_path):
    told = []
    first = filled(recent_of(served, tmp_path, told.append), rows, served)
    own = served.detector.threshold
    first.recalibrate()
    better = served.detector.threshold
    first.take(rows.values, np.full(100, 99.0), np.ones(100, bool))
    worse = first.recalibrate()["after"]
    again = open_model(str(folder / "detector"), folder)
    recent = recent_of(again, tmp_path, told.append)
    done = recent.undo()
    assert again.detector.threshold == better != own
    assert done == told[-1].model_dump(mode="json")
    assert (done["rows"], done["before"]["alert_rate"]) == (0, None)
    for side, earlier in (("before", worse), ("after", told[0].model_dump(mode="json")["after"])):
        assert (done[side]["method"], done[side]["value"]) == (earlier["method"], earlier["value"])
    assert len((tmp_path / RECALIBRATIONS).read_text().splitlines()) == len(told) == 3
    for each in (recent, recent_of(once_more := open_model(str(folder / "detector"), folder), tmp_path)):
        with pytest.raises(
            RequestError, match="the last recalibration can be undone, once, but there is none; recalibrate first"
        ):
            each.undo()
    assert once_more.detector.threshold == better


def test_the_threshold_of_another_detector_is_not_taken_up(served, folder, rows, tmp_path):
    filled(recent_of(served, tmp_path), rows, served).recalibrate()
    kept = json.loads((tmp_path / THRESHOLD).read_text())
    (tmp_path / THRESHOLD).write_text(json.dumps(kept | {"digest": "another"}))
    again = open_model(str(folder / "detector"), folder)
    recent_of(again, tmp_path)
    assert again.detector.threshold != served.detector.threshold


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"digest": "DIGEST", "threshold": {"kind": "none of ours"}}'])
def test_a_damaged_threshold_is_refused_by_name(served, tmp_path, content):
    (tmp_path / THRESHOLD).write_text(content.replace("DIGEST", served.detector.digest))
    with pytest.raises(DetectorError, match=f"{THRESHOLD}: must be a recalibrated threshold.*; remove it"):
        recent_of(served, tmp_path)
