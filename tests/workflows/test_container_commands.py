"""Every command takes every container: trained on one, a detector scores all others to the same numbers."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsad as library
from tests.data.containers import COLUMNAR, CONTAINERS, npy, partitioned, served, text
from tests.examples import sensors
from tests.stores import clear_environment
from tsad.assessment.artifacts import write_results
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.experiment import run
from tsad.spec import parse
from tsad.workflows.context import open_context
from tsad.workflows.inputs import Rows, read_values

ROWS = 260
SERIES = sensors(ROWS, 3)
SERIES.values[200:206, 1] += 6
MODEL = {"split": {"gap": 10}, "window": {"length": 4}, "model": {"kind": "window_linear", "components": 2}}
WORDS = ("--set", "data.time=at", "--set", "data.label=label")


def rows(series=SERIES):
    count = len(series.values)
    table = pd.DataFrame(series.values.astype(float), columns=list(series.features))
    table["label"] = ((np.arange(count) >= 200) & (np.arange(count) < 206)).astype(int)
    table.insert(0, "at", pd.date_range("2024-03-01", periods=count, freq="min"))
    return table


TABLE = rows()


@pytest.fixture(autouse=True)
def place(place, monkeypatch):
    """The empty working folder, with nothing of MLflow's in the environment, and no log that an earlier test opened."""
    monkeypatch.setattr(logging.getLogger("tsad"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("tsad"), "propagate", True)
    clear_environment(monkeypatch)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return place


def trained(path, folder, **columns):
    """Trains on a file and saves what a run saves of it; returns the folder of the detector."""
    section = {"kind": "csv", "path": str(path), **columns}
    config = parse(ExperimentConfig, {"data": section, **MODEL}, "experiment")
    data = config.data.load(Path())
    outcome = run(config, data)
    write_results(
        replace(outcome, parts=replace(outcome.parts, read_options=data.read_options)), config, folder, "a run"
    )
    return folder / DETECTOR


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The detector that was trained on the plain file, and that file with its scores, flags and explanations."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "rows.csv").write_text(text(TABLE))
    detector = trained(folder / "rows.csv", folder / "run", time="at", label="label")
    library.score(detector, folder / "rows.csv")
    return detector, pd.read_csv(folder / "rows.scored.csv"), pd.read_csv(folder / "rows.scored.events.csv")


def scored(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    first = path.read_text().partition("\n")[0]
    return pd.read_csv(path, sep=next(mark for mark in ",;|\t" if mark in first))


def assert_same(found, expected):
    for name in ("score", "flag", "feature_1", "share_1", *SERIES.features):
        pd.testing.assert_series_equal(found[name], expected[name], check_dtype=False, check_exact=True)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_detector_of_any_container_scores_it_like_the_plain_file(tsad, place, plain, name):
    (place / name).write_bytes(CONTAINERS[name](TABLE))
    detector = trained(place / name, place / "run", time="at", label="label")
    code, out, errors = tsad("score", detector, name, "--rows-at-once", "37")
    assert (code, errors) == (0, [])
    ending = ".parquet" if name in COLUMNAR else ".csv"
    target = place / f"{name.split('.')[0]}.scored{ending}"
    assert f"file: {target.name}" in out
    found = scored(target)
    assert list(found.columns[:5]) == list(TABLE.columns)
    assert_same(found, plain[1])
    events = scored(target.with_name(f"{target.stem}.events.csv"))
    pd.testing.assert_frame_equal(events.drop(columns=["start", "end"]), plain[2].drop(columns=["start", "end"]))


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_detector_of_the_plain_file_takes_every_container(tsad, place, plain, name):
    (place / name).write_bytes(CONTAINERS[name](TABLE))
    assert tsad("score", plain[0], name, "--output", "out.csv")[0] == 0
    assert_same(scored(place / "out.csv"), plain[1])


@pytest.mark.parametrize(
    "name", ["rows.csv.gz", "rows.xlsx", "rows.jsonl", "rows.feather", "columns.npz", "annotated.csv"]
)
def test_other_commands_take_containers(tsad, place, plain, name):
    (place / name).write_bytes(CONTAINERS[name](TABLE))
    stem = name.split(".")[0]
    code, _, errors = tsad("plot", name, "--model", plain[0])
    assert (code, errors) == (0, [])
    assert (place / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    assert tsad("drift", plain[0], name, "--reference", name)[::2] == (0, [])
    assert tsad("recalibrate", plain[0], name, "--output", "new")[::2] == (0, [])
    assert tsad("evaluate", "--scores", name, "--labels", name, "--output", "assessment")[0] == 1  # it has no scores
    (place / name).write_bytes(CONTAINERS[name](TABLE[["at", "label"]].assign(score=SERIES.values[:, 1])))
    assert tsad("evaluate", "--scores", name, "--labels", name, "--output", "assessment")[0] == 0


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_check_shows_the_same_card_and_writes_an_experiment_that_loads(tsad, place, name):
    (place / "rows.csv").write_text(text(TABLE))
    (place / "folder").mkdir()
    (place / "folder" / name).write_bytes(CONTAINERS[name](TABLE))
    results = {}
    for file in ("rows.csv", f"folder/{name}"):
        code, _, errors = tsad("data", "check", file, *WORDS, "--output", "card.json", "--experiment", "rows.yaml")
        assert (code, errors) == (0, [])
        results[file] = json.loads((place / "card.json").read_text())
        assert str(read_values("rows.yaml").config().data.path) == file
    first, second = (
        {key: value for key, value in one.items() if key not in {"name", "source", "defects"}}
        for one in results.values()
    )
    assert first == second


def test_a_folder_of_parquet_files_is_checked_trained_scored_and_drawn(tsad, place, plain):
    partitioned(place / "rows", TABLE)
    code, out, _ = tsad("data", "check", "rows", *WORDS, "--set", "data.ignore=[day]")
    assert code == 0
    assert "# Data card: rows" in out
    detector = trained("rows", place / "run", time="at", label="label", ignore=["day"])
    assert tsad("score", detector, "rows")[::2] == (0, [])
    found = pd.read_parquet("rows.scored.parquet")
    assert_same(found, plain[1])
    assert found["day"].tolist() == [9] * 130 + [10] * 130
    assert tsad("plot", "rows.scored.parquet")[::2] == (0, [])


def test_an_address_is_checked_trained_scored_and_drawn(tsad, place, plain):
    with served({"/a/rows.csv.gz": CONTAINERS["rows.csv.gz"](TABLE)}) as (address, paths):
        url = f"{address}/a/rows.csv.gz?x=1"
        code, _, _ = tsad("data", "check", url, *WORDS, "--experiment", "rows.yaml")
        assert code == 0
        assert str(read_values("rows.yaml").config().data.path) == url
        assert sum(verb == "GET" for verb, _ in paths) <= 2  # fixes are tried on the same download
        detector = trained(url, place / "run", time="at", label="label")
        assert tsad("score", detector, url)[::2] == (0, [])
        assert_same(pd.read_csv("rows.scored.csv"), plain[1])
        assert tsad("plot", url, "--model", detector)[::2] == (0, [])
        assert (place / "rows.png").exists()
        assert tsad("drift", detector, url)[::2] == (0, [])
        assert tsad("recalibrate", detector, url, "--output", "new")[::2] == (0, [])


def test_plain_arrays_are_checked_trained_and_scored(tsad, place):
    (place / "rows.npy").write_bytes(npy(SERIES.values.astype(float)))
    code, _, _ = tsad("data", "check", "rows.npy")
    assert code == 0
    detector = trained("rows.npy", place / "run")
    assert tsad("score", detector, "rows.npy")[::2] == (0, [])
    found = pd.read_parquet("rows.scored.parquet")
    assert list(found.columns[:4]) == ["f00", "f01", "f02", "score"]


@pytest.mark.parametrize("command", ["train", "data check", "score", "plot", "drift", "recalibrate"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv.gz", CONTAINERS["rows.csv.gz"](TABLE)[:300], "is not a gzip file, or not all of it"),
        ("rows.xlsx", b"PK\x03\x04", "is not a workbook, or a damaged one"),
        ("rows.jsonl", b"{", "line 1 is not JSON"),
        ("rows.npy", npy(np.ones((3, 3, 3))), "must have the shape (rows, columns)"),
        ("rows", None, "a folder must hold one table as Parquet files"),
        ("http://127.0.0.1:9/rows.csv", None, "http://127.0.0.1:9/rows.csv: cannot be read ("),
    ],
)
def test_no_command_ends_in_a_traceback(tsad, place, plain, command, name, content, message):
    if content is not None:
        (place / name).write_bytes(content)
    elif "://" not in name:
        (place / name).mkdir()
    model = [] if command in {"train", "data check"} else [plain[0]]
    words = [name, "--model", *model] if command == "plot" else [*model, name]
    code, out, errors = tsad(*command.split(), *words, *(["--output", "new"] if command == "recalibrate" else []))
    assert code == 1
    assert message in (out if command == "data check" else "\n".join(errors))
    assert not any("Traceback" in line for line in errors)


def test_python_functions_take_addresses_and_containers(place, plain):
    (place / "rows.csv.gz").write_bytes(CONTAINERS["rows.csv.gz"](TABLE))
    with served({"/rows.tsv": text(TABLE, "\t").encode()}) as (address, _):
        sources = ("rows.csv.gz", Path("rows.csv.gz"), f"{address}/rows.tsv", (place / "rows.csv.gz").as_uri())
        sections = [Rows(source, label="label", time="at").section(open_context().settings) for source in sources]
        digests = {
            parse(ExperimentConfig, {"data": section, **MODEL}, "x").data.load(Path()).digest for section in sections
        }
        assert library.check(sources[2], {"data.time": "at", "data.label": "label"}).data.digest in digests
        assert library.score(plain[0], sources[2]).output == Path("rows.scored.csv")
        assert library.plot(sources[2], model=plain[0]).output == Path("rows.png")
    assert len(digests) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # MLflow describes an example by what pandas deprecates
@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.xlsx", "rows.feather", "rows"])
def test_a_file_is_trained_and_scored_by_the_commands_alone(tsad, place, name):
    table = rows(sensors(1500, 3))
    if name == "rows":
        partitioned(place / name, table)
    else:
        (place / name).write_bytes(CONTAINERS[name](table))
    code, out, errors = tsad("train", name, *WORDS, "--set", f"data.ignore={'[day]' if name == 'rows' else '[]'}")
    assert code == 0, errors[-1]
    detector = re.search(r"detector: (runs:/\w+/detector)", out)[1]
    assert tsad("score", detector, name)[0] == 0
    assert next(place.glob("rows.scored.*")).exists()
