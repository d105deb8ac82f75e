"""A fleet: each row is judged by the detector of its entity, wherever the rows stand and whatever the entity is called."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.fleets import FEATURES, detector, panel, saved
from tsad.detector.loaded import LoadedDetectors
from tsad.errors import DataError, DetectorError, SpecError
from tsad.fleet import MANIFEST, Fleet
from tsad.thresholds.threshold import GivenThreshold

NAMES = ["a/b", "../up", "7"]


@pytest.fixture
def fleet(tmp_path):
    return saved(tmp_path / "fleet", NAMES)


def test_a_fleet_is_read_as_it_was_written(fleet):
    again = Fleet.load(fleet.folder)
    assert (again.names, again.features, len(again), again.manifest.column) == (tuple(NAMES), FEATURES, 3, "machine")
    assert [again.detector(name).digest for name in NAMES] == [detector(number).digest for number in range(3)]
    assert again.read_options.entity == "machine"


@pytest.mark.parametrize("mixed", [False, True])
def test_each_row_is_scored_by_the_detector_of_its_entity(fleet, mixed):
    rows = panel(NAMES, 60, mixed=mixed).set_index(np.arange(500, 680))
    scored = fleet.score(rows, top=1)
    assert scored.index.equals(rows.index)
    for number, name in enumerate(NAMES):
        own = rows["machine"] == name
        expected = detector(number).score(rows.loc[own, list(FEATURES)])
        assert scored.loc[own, "score"].astype(float).equals(expected["score"])
        assert (scored.loc[own, "flag"] == expected["flag"]).all()
    assert set(scored["feature_1"].dropna()) <= set(FEATURES)


def test_whole_numbers_are_names_of_entities_too(fleet):
    rows = panel(["7"], 30).assign(machine=7.0)
    named = fleet.score(rows.assign(machine="7"))
    pd.testing.assert_frame_equal(fleet.score(rows), named)
    pd.testing.assert_frame_equal(fleet.score(rows.assign(machine=7)), named)


def test_an_unknown_entity_is_refused_by_name_with_those_that_are_known(fleet):
    with pytest.raises(DataError, match=r"\['new'\] have none; it has \['a/b', '../up', '7'\].*--shared"):
        fleet.score(panel(["7", "new"], 30))
    with pytest.raises(DataError, match="'new'"):
        fleet.detector_folder("new")


def test_an_unknown_entity_gets_the_shared_detector_if_there_is_one(tmp_path):
    fleet = saved(tmp_path, ["m0"], shared=True)
    assert fleet.detector("new").digest == detector(99).digest
    assert fleet.detector("m0").digest == detector(0).digest
    assert len(fleet.score(panel(["m0", "new"], 30))) == 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": None}, "column 'machine' is empty in row 0"),
        ({"cpu": "x"}, r"machine 'm0'.*cpu"),
    ],
)
def test_a_bad_cell_is_named_with_its_entity(tmp_path, change, message):
    fleet = saved(tmp_path, ["m0"])
    with pytest.raises(DataError, match=message):
        fleet.score(panel(["m0"], 30).assign(**change))


def test_rows_need_the_column_of_entities_and_enough_rows_of_each(fleet):
    with pytest.raises(DataError, match="needs the column 'machine'"):
        fleet.score(panel(["7"], 30).drop(columns="machine"))
    with pytest.raises(DataError, match="machine 'a/b'"):
        fleet.score(pd.concat([panel(["7"], 30), panel(["a/b"], 3)]))
    with pytest.raises(DataError, match="must have rows, but has none"):
        fleet.score(panel(["7"], 30)[:0])


def test_one_threshold_can_replace_all(fleet):
    rows = panel(NAMES, 30)
    assert fleet.with_threshold(-1.0, "--threshold").score(rows)["flag"].sum() == 3 * (30 - 7)
    assert fleet.with_threshold(None, "--threshold") is fleet
    with pytest.raises(SpecError, match="--threshold"):
        fleet.with_threshold(float("nan"), "--threshold")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": {}}, "entities"),
        ({"entities": {"x": "entities/00009"}}, "'entities/00009' is absent"),
        ({"entities": {"x": "../fleet"}}, "'../fleet' is absent"),
        ({"shared": "shared"}, "'shared' is absent"),
        ({"format": "tsad-fleet-9"}, "format"),
    ],
)
def test_a_damaged_manifest_is_refused(fleet, change, message):
    path = fleet.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DetectorError, match=message):
        Fleet.load(fleet.folder)


def test_a_detector_of_other_features_is_refused(fleet):
    path = fleet.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"features": ["cpu", "net", "load"]}))
    with pytest.raises(DetectorError, match="must have the features"):
        Fleet.load(fleet.folder).detector("7")


def test_few_detectors_are_in_memory_at_a_time_those_used_last(tmp_path):
    names = [f"m{number}" for number in range(5)]
    fleet = replace(saved(tmp_path, names), loaded=LoadedDetectors(2))
    first = fleet.detector("m0")
    for name in names[1:]:
        fleet.detector("m0")
        fleet.detector(name)
        assert len(fleet.loaded) == 2
        assert fleet.detector_folder("m0") in fleet.loaded
    assert fleet.detector("m0") is first
    assert fleet.detector_folder("m3") not in fleet.loaded


def test_many_threads_use_few_detectors(tmp_path):
    names = [f"m{number}" for number in range(5)]
    fleet = replace(saved(tmp_path, names), loaded=LoadedDetectors(1))
    digests = {name: detector(number).digest for number, name in enumerate(names)}
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda turn: fleet.detector(names[turn % 5]).digest, range(200)))
    assert read == [digests[names[turn % 5]] for turn in range(200)]
    assert len(fleet.loaded) == 1


def test_a_recalibrated_threshold_takes_the_place_of_the_saved_one(fleet):
    again = replace(fleet, thresholds={fleet.part("7"): GivenThreshold(value=-1.0)})
    flags = again.score(panel(NAMES, 30)).groupby(panel(NAMES, 30)["machine"])["flag"].sum()
    assert flags["7"] == 30 - 7
    assert flags["a/b"] == fleet.score(panel(["a/b"], 30))["flag"].sum()
    assert again.with_threshold(1e9, "threshold").score(panel(NAMES, 30))["flag"].sum() == 0
