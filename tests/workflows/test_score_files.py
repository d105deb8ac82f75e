"""`tsad score` of panels by a fleet, and of many files: the scores of each entity alone, resumed, and failures named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.fleets import FEATURES, detector, panel, saved
from tsad.errors import DataError, SpecError
from tsad.parallel import TaskOptions
from tsad.workflows.score import score
from tsad.workflows.score_files import FilesOptions, input_files, is_many, score_files

pytestmark = pytest.mark.usefixtures("place")

NAMES = ["m0", "m1", "m2"]
ONE = TaskOptions(1)


def alone(number, rows=60):
    """Returns the scores of the rows of one machine by its own detector."""
    table = panel(NAMES, rows)
    return detector(number).score(table.loc[table["machine"] == NAMES[number], list(FEATURES)])


def write_files(folder="today", rows=60):
    Path(folder).mkdir(parents=True)
    for name, table in panel(NAMES, rows).groupby("machine"):
        table.drop(columns="machine").to_csv(f"{folder}/{name}.csv", index=False)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_panel_is_scored_by_the_detector_of_each_entity(tsad, place, mixed):
    saved(place / "fleet", NAMES)
    rows = panel(NAMES, 60, mixed=mixed)
    rows.loc[40 if not mixed else 120, "cpu"] += 9
    rows.to_csv("panel.csv", index=False)
    code, out, errors = tsad("score", "fleet", "panel.csv")
    assert (code, errors) == (0, [])
    scored = pd.read_csv("panel.scored.csv")
    assert scored[rows.columns].astype(str).equals(pd.read_csv("panel.csv").astype(str))
    for number, name in enumerate(NAMES):
        own = rows["machine"] == name
        expected = detector(number).score(rows.loc[own, list(FEATURES)])
        assert np.allclose(scored.loc[own, "score"], expected["score"], equal_nan=True, rtol=1e-6)
        assert (scored.loc[own, "flag"] == expected["flag"]).all()
    events = pd.read_csv("panel.scored.events.csv")
    assert scored["flag"].any()
    assert set(events["entity"]) == set(scored.loc[scored["flag"], "machine"])
    assert f"{int(scored['flag'].sum())} of 180 rows flagged" in out


@pytest.mark.slow
def test_the_entities_of_a_panel_are_scored_side_by_side(tsad, place):
    saved(place / "fleet", NAMES)
    panel(NAMES, 60).to_csv("panel.csv", index=False)
    assert tsad("score", "fleet", "panel.csv", "--output", "one.csv")[0] == 0
    assert tsad("score", "fleet", "panel.csv", "--output", "two.csv", "--parallel", "2")[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv("one.csv"), pd.read_csv("two.csv"), rtol=1e-6)


def test_an_unknown_entity_of_a_panel_is_refused_and_nothing_is_written(tsad, place):
    saved(place / "fleet", NAMES[:2])
    panel(NAMES, 60).to_csv("panel.csv", index=False)
    code, _, errors = tsad("score", "fleet", "panel.csv")
    assert code == 1
    assert errors[0].startswith(
        "DataError: panel.csv: entities must have a detector in the fleet, but ['m2'] have none"
    )
    assert not Path("panel.scored.csv").exists()


def test_a_file_is_that_of_the_machine_of_its_name(place):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    score("fleet", "today/m2.csv", output="scored.csv")
    assert np.allclose(pd.read_csv("scored.csv")["score"], alone(2)["score"], equal_nan=True, rtol=1e-6)
    Path("today/m2.csv").rename("today/new.csv")
    with pytest.raises(DataError, match=r"today/new\.csv.*\['new'\] have none"):
        score("fleet", "today/new.csv", output="scored.csv")


def test_a_column_of_entities_can_be_named(tsad, place):
    saved(place / "fleet", NAMES, column=None)
    panel(NAMES, 60).rename(columns={"machine": "pump"}).to_csv("panel.csv", index=False)
    code, _, errors = tsad("score", "fleet", "panel.csv", "--entity", "pump")
    assert (code, errors) == (0, [])
    scores = pd.concat([alone(number) for number in range(3)])["score"]
    assert np.allclose(pd.read_csv("panel.scored.csv")["score"], scores, equal_nan=True, rtol=1e-6)


def test_a_fleet_is_no_single_detector(tsad, place):
    saved(place / "fleet", NAMES)
    panel(NAMES, 60).to_csv("panel.csv", index=False)
    code, _, errors = tsad("plot", "panel.csv", "--model", "fleet")
    assert (code, errors[0].split(";")[0]) == (
        1,
        "DetectorError: fleet: one detector is needed here, but this is a fleet of 3",
    )


@pytest.mark.parametrize("words", [["today/*.csv"], ["today"], ["today/m0.csv", "today/m1.csv", "today/m2.csv"]])
def test_many_files_are_scored_each_into_one_of_a_folder(tsad, place, words):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    code, out, errors = tsad("score", "fleet", *words, "--parallel", "1")
    assert (code, errors) == (0, [])
    for number, name in enumerate(NAMES):
        scored = pd.read_csv(f"today-scored/{name}.scored.csv")
        assert np.allclose(scored["score"], alone(number)["score"], equal_nan=True, rtol=1e-6)
    summary = pd.read_csv("today-scored/summary.csv", index_col="file")
    assert [Path(file).name for file in summary.index] == ["m0.csv", "m1.csv", "m2.csv"]
    assert summary["rows"].tolist() == [60] * 3
    assert summary["scored"].tolist() == [53] * 3
    assert summary["error"].isna().all()
    assert "3 of 3 files scored; " in out


def test_files_of_equal_names_keep_their_folders(place):
    detector(0).save(place / "detector")
    for site in ("north", "south"):
        write_files(f"sites/{site}")
    result = score_files("detector", "sites/*/m0.csv", tasks=ONE)
    assert sorted(path.relative_to(result.output).as_posix() for path in result.output.rglob("*.scored.csv")) == [
        "north/m0.scored.csv",
        "south/m0.scored.csv",
    ]


def test_a_file_that_fails_is_named_and_the_others_are_scored(tsad, place):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    Path("today/m1.csv").write_text("time,cpu\n2024-01-01,1\n")
    code, out, errors = tsad("score", "fleet", "today", "--parallel", "1")
    assert code == 1
    assert errors == [errors[-1]]
    assert errors[0].startswith("DataError: 1 files could not be scored, first today/m1.csv: DataError: ")
    assert "2 of 3 files scored" in out
    summary = pd.read_csv("today-scored/summary.csv", index_col="file")
    assert summary["error"].notna().tolist() == [False, True, False]
    assert summary.loc["today/m0.csv", "rows"] == 60


def test_scoring_goes_on_where_it_was_interrupted(place):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    score_files("fleet", ["today/m0.csv", "today/m1.csv"], tasks=ONE, output="out")
    kept = Path("out/m0.scored.csv").stat().st_mtime_ns
    Path("today/m1.csv").write_text(Path("today/m1.csv").read_text() + "2024-02-01,1,2,3\n")
    with Path("out/scored.jsonl").open("a") as journal:
        journal.write('{"file": "tod')  # killed while it wrote
    result = score_files("fleet", "today", tasks=ONE, output="out", resume=True)
    assert (result.resumed, len(result.table)) == (1, 3)
    assert Path("out/m0.scored.csv").stat().st_mtime_ns == kept
    assert result.table.loc["today/m1.csv", "rows"] == 61
    assert score_files("fleet", "today", tasks=ONE, output="out", resume=True).resumed == 3


@pytest.mark.parametrize("change", ["options", "model", "output", "anew"])
def test_what_was_scored_otherwise_is_scored_again(place, change):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    score_files("fleet", "today", tasks=ONE, output="out")
    if change == "model":
        detector(5).save(place / "fleet" / "entities" / "00000")
    if change == "output":
        Path("out/m0.scored.csv").unlink()
    options = FilesOptions(threshold=3.0) if change == "options" else FilesOptions()
    result = score_files("fleet", "today", tasks=ONE, output="out", options=options, resume=change != "anew")
    assert result.resumed == (2 if change == "output" else 0)
    assert len(result.table) == 3


def test_outputs_of_earlier_calls_are_no_inputs(place):
    detector(0).save(place / "detector")
    write_files()
    score("detector", "today/m0.csv")
    score_files("detector", "today/*.csv", output="today", tasks=ONE)
    assert [file.name for file in input_files("today/*.csv")] == ["m0.csv", "m1.csv", "m2.csv"]


def test_nothing_to_score_is_an_error(place):
    detector(0).save(place / "detector")
    with pytest.raises(DataError, match="must name files of rows, but there are none"):
        score_files("detector", "nowhere/*.csv", tasks=ONE)
    Path("bad.csv").write_text("")
    with pytest.raises(DataError, match="none of 1 files could be scored; the first: DataError: "):
        score_files("detector", ["bad.csv"], tasks=ONE)
    write_files()
    with pytest.raises((DataError, SpecError), match="none of 3 files"):
        score_files("detector", "today", tasks=ONE, options=FilesOptions(overrides={"data.nothing": 1}))


def test_a_folder_of_parquet_is_one_table():
    panel(["m0"], 30).to_parquet("a.parquet")
    Path("table").mkdir()
    Path("a.parquet").rename("table/a.parquet")
    write_files()
    assert not is_many([Path("table")])
    assert not is_many([Path("today/m0.csv")])
    assert is_many([Path("table/*.parquet")])
    assert is_many([Path("today")])
    assert is_many([Path("table/a.parquet"), Path("today/m0.csv")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["today/m0.csv", "--resume"], "--resume is an option of several files"),
        (["today", "--events", "e.csv"], "--events is an option of one file"),
    ],
)
def test_options_of_the_other_form_are_wrong_usage(tsad, place, words, message):
    detector(0).save(place / "detector")
    write_files()
    code, _, errors = tsad("score", "detector", *words)
    assert (code, message in errors[-1]) == (2, True)


@pytest.mark.slow
def test_files_are_scored_side_by_side_as_one_after_the_other(place):
    saved(place / "fleet", NAMES, column=None)
    write_files()
    one = score_files("fleet", "today", tasks=ONE, output="one")
    two = score_files("fleet", "today", tasks=TaskOptions(2), output="two")
    for name in NAMES:
        parts = [pd.read_csv(f"{folder}/{name}.scored.csv") for folder in ("one", "two")]
        pd.testing.assert_frame_equal(*parts, rtol=1e-6)
    assert one.table["flagged"].tolist() == two.table["flagged"].tolist()
