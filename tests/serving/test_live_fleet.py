"""A fleet that is served by its alias: promotions and rollbacks reach it, and what would lose an entity is refused."""

import re

import numpy as np
import pytest

from tests.examples import detector_of, from_defaults
from tests.fleets import FEATURES, machine_rows, panel, saved
from tests.serving.registries import following, live, point, store_of, until
from tests.serving.services import NO_SEARCH
from tsad.detector.scoring import ScoringSpec
from tsad.fleet import MANIFEST, Fleet
from tsad.models.baselines.principal import WindowLinearSpec
from tsad.registry.load import SAMPLE
from tsad.series import Series
from tsad.serving.live_model import VERSION_HEADER

NAMES = ["m0", "m1"]


def fleet_of(folder, names, length=8, column="machine"):
    """Returns a fleet whose detectors have windows of some length, with a sample of the rows of the first machine."""
    fleet = saved(folder, names, column=column)
    for number, name in enumerate(names):
        series = Series(machine_rows(number, 200).astype(np.float32), FEATURES)
        detector_of(from_defaults(WindowLinearSpec), series, length, ScoringSpec()).save(fleet.detector_folder(name))
    (folder / "artifacts").mkdir()
    sample = panel(names[:1], 100).rename(columns={"machine": column})
    sample.to_csv(folder / "artifacts" / SAMPLE, index=False)
    return Fleet.load(folder)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory):
    """Fleets by version: 3 adds a machine, 4 lacks one, 5 is damaged, 6 is one detector, 7 has another column."""
    folder = tmp_path_factory.mktemp("fleets")
    fleets = {"1": fleet_of(folder / "1", NAMES), "2": fleet_of(folder / "2", NAMES, 11)}
    fleets["3"] = fleet_of(folder / "3", [*NAMES, "m2"])
    fleet_of(folder / "4", ["m0"])
    damaged = fleet_of(folder / "5", NAMES)
    (damaged.detector_folder("m1") / "detector.json").write_text("{}")
    fleets["1"].detector("m0").save(folder / "6")
    fleet_of(folder / "7", NAMES, column="host")
    return folder, fleets


@pytest.fixture(scope="module")
def store(fleets, tmp_path_factory):
    with store_of(tmp_path_factory.mktemp("store"), [fleets[0] / number for number in "1234567"]) as store:
        yield store


@pytest.fixture
def client(store):
    point(store.client, "1")
    return store.client


def body(rows):
    columns = [*FEATURES, "machine"]
    return {"columns": columns, "rows": rows[columns].to_numpy(object).tolist()}


def test_promotion_and_rollback_of_a_fleet_reach_its_scores_and_streams(client, fleets, tmp_path):
    rows = panel(NAMES, 60)
    own = rows[rows["machine"] == "m1"]
    expected = {version: fleet.score(rows)["score"].astype(float) for version, fleet in fleets[1].items()}
    seen, found = [], []
    with following(tmp_path / "state", runner=NO_SEARCH) as service:
        number = service.post("/api/streams", {"entity": "m1"}).json["id"]
        for turn, version in enumerate(["1", "2", "1", "3"]):
            point(client, version)
            until(lambda version=version: live(service)["version"] == version)
            answer = service.post("/api/score", body(rows))
            assert answer.headers[VERSION_HEADER] == version
            np.testing.assert_allclose(np.array(answer.json["score"], float), expected[version], rtol=1e-9)
            values = own[list(FEATURES)].to_numpy()[turn * 15 : turn * 15 + 15].tolist()
            pushed = service.post(f"/api/streams/{number}/rows", {"rows": values, "after": turn * 15})
            assert pushed.status == 200, pushed.content
            found += pushed.json["score"]
            seen += [version] * 15
        assert live(service)["entities"] == ["m0", "m1", "m2"]
    wanted = [expected[version][own.index[row]] for row, version in enumerate(seen)]
    np.testing.assert_allclose(np.array(found, float), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("4", "must know the entities of the one in service, but .*m1"),
        ("5", "detector.json"),
        ("6", "must be like the one in service, a fleet with the column 'machine', but is one detector"),
        ("7", "but is a fleet with the column 'host'"),
    ],
)
def test_a_version_that_would_lose_an_entity_is_refused(client, tmp_path, version, reason):
    with following(tmp_path / "state", runner=NO_SEARCH) as service:
        point(client, version)
        until(lambda: live(service)["live"]["refused"])
        assert live(service)["version"] == "1"
        assert re.search(reason, live(service)["live"]["refused"]["reason"])
        assert service.post("/api/score", body(panel(NAMES, 20))).headers[VERSION_HEADER] == "1"


def test_a_manifest_is_copied_with_its_version(client, tmp_path):
    with following(tmp_path / "state", runner=NO_SEARCH):
        pass
    assert list((tmp_path / "state" / "models").rglob(MANIFEST))
