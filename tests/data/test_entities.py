"""Entities one by one: the same rows as when the data set of each is read alone, however it is described."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.test_smd import lay_out, lines
from tests.fleets import FEATURES, panel
from tsad.data.entities import entities_of
from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.smd import SmdSpec
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.errors import DataError, SpecError

pytestmark = pytest.mark.usefixtures("place")


def load(spec):
    return spec.load(Path("data"))


def each(spec):
    return {name: read() for name, read in entities_of(spec, load, Path("data")).items()}


def equal(one, other):
    return all(
        np.array_equal(getattr(one, part).values, getattr(other, part).values)
        and np.array_equal(getattr(one, part).times, getattr(other, part).times)
        for part in ("train", "test")
    )


@pytest.mark.parametrize("names", [["m0"], ["m0", "m1"], ["m0", "m1", "m-2", "x y"]])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_panel_gives_the_rows_that_a_file_of_each_machine_gives(names, mixed):
    rows = panel(names, 50, mixed=mixed).sample(frac=1, random_state=0) if mixed else panel(names, 50)
    rows.to_csv("panel.csv", index=False)
    parts = each(
        CsvSpec(kind="csv", path="panel.csv", entity="machine", time="time", unsorted="sort" if mixed else "error")
    )
    assert list(parts) == ([*rows["machine"].unique()])
    for name in names:
        rows[rows["machine"] == name].drop(columns="machine").sort_values("time").to_csv("one.csv", index=False)
        alone = CsvSpec(kind="csv", path="one.csv", time="time").load(Path())
        assert equal(parts[name].data, alone)
        assert parts[name].data.name == f"panel-{name}"
        assert parts[name].data.entities == ()


def write_files(names, folder="machines", rows=50):
    Path(folder).mkdir()
    for name, table in panel(names, rows).groupby("machine"):
        table.drop(columns="machine").to_csv(f"{folder}/{name}.csv", index=False)


def test_files_of_one_machine_each_are_read_when_they_are_asked_for():
    write_files(["m0", "m1"])
    spec = CsvSpec(kind="csv", path="machines/*.csv", time="time")
    lazy = entities_of(spec, load, Path())
    assert list(lazy) == ["m0", "m1"]
    Path("machines/m1.csv").write_text("broken")
    assert equal(lazy["m0"]().data, CsvSpec(kind="csv", path="machines/m0.csv", time="time").load(Path()))
    assert lazy["m0"]().spec.path == Path("machines/m0.csv")
    with pytest.raises(DataError, match=r"m1\.csv"):
        lazy["m1"]()


def test_columns_of_files_are_taken_by_name_and_missing_ones_said():
    write_files(["m0", "m1", "m2"])
    table = panel(["m1"], 50).drop(columns="machine")
    table[["time", "net", "cpu", "load"]].assign(more=1.5).to_csv("machines/m1.csv", index=False)
    table.drop(columns="cpu").to_csv("machines/m2.csv", index=False)
    lazy = entities_of(CsvSpec(kind="csv", path="machines/*.csv", time="time"), load, Path())
    assert [lazy[name]().data.train.features for name in ("m0", "m1")] == [FEATURES] * 2
    with pytest.raises(DataError, match="no column 'cpu'"):
        lazy["m2"]()


def test_each_machine_has_its_own_test_file():
    write_files(["m0", "m1"])
    write_files(["m0", "m1"], "tests", 30)
    spec = CsvSpec(kind="csv", path="machines/*.csv", test_path="tests/*.csv", time="time")
    assert [(len(rows.data.train), len(rows.data.test)) for rows in each(spec).values()] == [(50, 30)] * 2
    Path("tests/m1.csv").unlink()
    Path("tests/m0.csv").rename("tests/other.csv")
    Path("tests/m1.csv").write_text("")
    with pytest.raises(DataError, match=r"\['m0', 'other'\] have one of them only"):
        each(spec)


def test_two_files_of_one_name_are_refused():
    write_files(["m0"])
    write_files(["m0"], "more")
    with pytest.raises(DataError, match="two are called 'm0'"):
        each(CsvSpec(kind="csv", path=("machines/m0.csv", "more/m0.csv"), time="time"))


def test_machines_of_smd_are_entities():
    machine = {
        f"{part}/machine-1-{number}.txt": lines(40, seed=number) for part in ("train", "test") for number in (1, 2)
    }
    labels = {
        f"{part}/machine-1-{number}.txt": text
        for part, text in (("test_label", "0\n" * 30 + "1\n" * 10), ("interpretation_label", "30-40:1\n"))
        for number in (1, 2)
    }
    lay_out(Path("data"), machine | labels)
    parts = each(SmdSpec(kind="smd", machine="all"))
    assert list(parts) == ["1-1", "1-2"]
    assert equal(parts["1-2"].data, SmdSpec(kind="smd", machine="1-2").load(Path("data")))
    assert parts["1-2"].spec.machine == "1-2"


def test_root_causes_and_typed_events_are_those_of_the_entity():
    panel(["m0", "m1"], 50).to_csv("panel.csv", index=False)
    events = [
        {
            "start": str(panel(["m"], 50)["time"][30]),
            "end": str(panel(["m"], 50)["time"][35]),
            "type": "leak",
            "entity": "m1",
        }
    ]
    spec = CsvSpec(kind="csv", path="panel.csv", entity="machine", time="time", events=events)
    parts = each(spec)
    assert parts["m0"].data.typed_events == ()
    (event,) = parts["m1"].data.typed_events
    assert (event.start, event.name) == (5, "leak")
    assert parts["m1"].data.test.labels[event.start : event.stop].all()
    assert not parts["m0"].data.test.labels.any()


@pytest.mark.parametrize("spec", [SyntheticSpec(kind="synthetic", rows=1000), CsvSpec(kind="csv", path="one.csv")])
def test_rows_of_one_machine_have_no_entities(spec):
    panel(["m0"], 50)[list(FEATURES)].to_csv("one.csv", index=False)
    with pytest.raises(SpecError, match=r"--set data\.entity=COLUMN.*leave --each-entity out"):
        each(spec)
