"""From a detector to a version, through the gate, and by hand: what the registry, the run and the terminal say of it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from tests.stores import clear_environment, opened
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.experiment import run
from tsad.registry import register as registering
from tsad.registry.aliases import champion, promote, set_challenger
from tsad.registry.gate import Decision, GateInputs
from tsad.registry.load import load_detector
from tsad.selection.champion_files import ChampionFiles
from tsad.selection.comparison import GateSpec
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import parse
from tsad.tracking.runs import RunWriter
from tsad.workflows import champion as crown
from tsad.workflows.champion import pass_gate

NAME = "tsad-gated"
EXPERIMENT = {
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"gap": 40},
    "window": {"length": 8},
    "model": {"kind": "window_linear"},
}
TAGS = {"tsad.beats_baselines": "no"}


@dataclass(frozen=True)
class Trained:
    """Two detectors of the same rows: a good one and chance."""

    data: DataSet
    experiment: ExperimentConfig
    good: Detector
    bad: Detector


@pytest.fixture(scope="module")
def trained():
    experiment, chance = (
        parse(ExperimentConfig, EXPERIMENT | changes, "experiment") for changes in ({}, {"model": {"kind": "random"}})
    )
    data = experiment.data.load(Path())
    return Trained(data, experiment, run(experiment, data).detector, run(chance, data).detector)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        yield opened(tmp_path_factory.getbasetemp() / "store")


@pytest.fixture
def client(store):
    """A registry that does not know the model yet."""
    yield store.client
    if store.client.search_registered_models(f"name = '{NAME}'"):
        store.client.delete_registered_model(NAME)


@dataclass(frozen=True)
class Entered:
    """What the gate decided of a version."""

    version: str
    uri: str
    decision: Decision


@dataclass(frozen=True)
class Entry:
    """A search whose winner is to be registered."""

    writer: RunWriter
    inputs: GateInputs
    folder: Path

    def enter(self, default=None):
        version, decision = pass_gate(self.writer, self.inputs, ChampionFiles(self.folder), NAME, TAGS, default)
        alias = "challenger" if decision.outcome == "rejected" else "champion"
        return Entered(version, f"models:/{NAME}@{alias}", decision)


@pytest.fixture
def entry(client, store, trained, tmp_path, monkeypatch):
    """Returns a search that was won by a detector."""

    def logged(run_id, folder, series, tags):
        return folder.as_uri()  # a version of a folder needs no model of MLflow's, which would take seconds

    monkeypatch.setattr(registering, "log_detector", logged)

    def won(detector, data=trained.data, **gate):
        writer = RunWriter.create(store, store.experiment(), "a search", {})
        folder = tmp_path / writer.run_id
        detector.save(folder / "champion" / DETECTOR)
        inputs = GateInputs(
            data,
            trained.experiment.split,
            parse(GateSpec, gate, "gate"),
            LabelFreeSpec(kind="label_free", edge=10, draws=1),
        )
        return Entry(writer, inputs, folder)

    return won


def aliases(client):
    return {alias: str(version) for alias, version in client.get_registered_model(NAME).aliases.items()}


# --- a search ---


@pytest.fixture
def saved(tmp_path):
    """Returns a function that saves a detector and returns its folder."""

    def save(detector):
        detector.save(tmp_path / "default" / DETECTOR)
        return tmp_path / "default" / DETECTOR

    return save


def test_a_first_version_below_the_default_stays_challenger_and_the_default_is_champion(client, trained, entry, saved):
    found = entry(trained.bad).enter(saved(trained.good))
    assert (found.version, found.decision.outcome) == ("1", "rejected")
    assert aliases(client) == {"challenger": "1", "champion": "2"}
    assert "version 2, the default detector fitted on the same rows, is champion" in found.decision.text
    assert client.get_model_version(NAME, "2").tags["tsad.champion_trials"] == "default"


def test_a_first_version_above_the_default_is_champion(client, trained, entry, saved):
    found = entry(trained.good).enter(saved(trained.bad))
    assert (found.version, found.decision.outcome) == ("1", "first")
    assert aliases(client) == {"champion": "1"}


def test_a_first_version_as_good_as_the_default_is_champion(client, trained, entry, saved):
    assert entry(trained.good).enter(saved(trained.good)).decision.outcome == "first"
    assert aliases(client) == {"champion": "1"}


def test_the_default_is_registered_once_though_the_gate_was_interrupted(client, trained, entry, saved, monkeypatch):
    search, default = entry(trained.bad), saved(trained.good)
    with monkeypatch.context() as broken:
        broken.setattr(crown, "apply", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            search.enter(default)
    found = search.enter(default)
    assert found.version == "1"
    assert "version 2, the default detector fitted on the same rows, is champion" in found.decision.text
    assert aliases(client) == {"challenger": "1", "champion": "2"}
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_the_first_becomes_champion_and_it_is_said_that_it_beats_nobody(client, store, trained, entry):
    search = entry(trained.bad)
    found = search.enter()
    assert (found.version, found.uri, found.decision.outcome) == ("1", f"models:/{NAME}@champion", "first")
    assert aliases(client) == {"champion": "1"}
    version = client.get_model_version(NAME, "1")
    text = f"models:/{NAME} had no champion; version 1 is the first. It does not beat the best baseline."
    assert version.description == found.decision.text == text
    of_run = {"tsad.run": search.writer.run_id, "tsad.digest": trained.bad.digest}
    assert version.tags == {**of_run, "tsad.gate": "first", **TAGS}
    assert store.client.get_run(search.writer.run_id).data.tags["tsad.gate"] == "first"


def test_a_better_challenger_becomes_champion_and_the_figures_are_logged(client, store, trained, entry, tmp_path):
    entry(trained.bad).enter()
    search = entry(trained.good)
    found = search.enter()
    assert (found.version, found.uri, found.decision.outcome) == ("2", f"models:/{NAME}@champion", "promoted")
    assert aliases(client) == {"champion": "2"}
    logged = store.client.get_run(search.writer.run_id).data
    figures = {name: value for name, value in logged.metrics.items() if name.startswith("gate/")}
    assert figures.keys() == {"gate/champion", "gate/challenger", "gate/margin"}
    assert (
        figures["gate/challenger"]
        > figures["gate/champion"] + 0.02
        == figures["gate/champion"] + figures["gate/margin"]
    )
    tags = client.get_model_version(NAME, "2").tags
    for seen in (tags, logged.tags):
        assert (seen["tsad.gate"], seen["tsad.gate_champion_version"], seen["tsad.gate_labels"]) == (
            "promoted",
            "1",
            "test",
        )
        assert seen["tsad.gate_metric"] == "ranking/pr_auc"
        assert float(seen["tsad.gate_challenger"]) == pytest.approx(figures["gate/challenger"], rel=1e-4)
    text = Path(store.client.download_artifacts(search.writer.run_id, "gate.txt", str(tmp_path))).read_text()
    assert text.strip() == found.decision.text == client.get_model_version(NAME, "2").description
    assert text.endswith("So version 2 replaces version 1. Labels of these rows chose between the two.\n")


def test_a_worse_one_stays_challenger(client, trained, entry):
    entry(trained.good).enter()
    found = entry(trained.bad, kind="label_free").enter()
    assert (found.version, found.uri, found.decision.outcome) == ("2", f"models:/{NAME}@challenger", "rejected")
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    assert found.decision.text.endswith("So version 1 stays champion.")
    assert client.get_model_version(NAME, "2").tags["tsad.gate_labels"] == "nothing"


def test_against_a_champion_that_is_gone_it_stays_challenger_and_the_way_out_is_told(client, trained, entry):
    gone = entry(trained.bad)
    gone.enter()
    shutil.rmtree(gone.folder)
    found = entry(trained.good).enter()
    assert found.decision.outcome == "rejected"
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    assert (
        f"version 2 cannot be compared with champion version 1 on these rows (models:/{NAME}/1: " in found.decision.text
    )
    assert f"tsad promote models:/{NAME}/2 --force" in found.decision.text


def test_a_champion_of_other_features_stays_champion(client, trained, entry):
    entry(trained.good).enter()
    other = parse(ExperimentConfig, EXPERIMENT | {"data": EXPERIMENT["data"] | {"features": 5}}, "experiment")
    data = other.data.load(Path())
    found = entry(run(other, data).detector, data).enter()
    assert found.decision.outcome == "rejected"
    assert "cannot be compared with champion version 1 on these rows (features must be" in found.decision.text


CHANGES = (
    "create_registered_model",
    "_create_model_version",  # what mlflow.register_model calls
    "set_registered_model_alias",
    "set_registered_model_tag",
    "delete_registered_model_alias",
    "set_model_version_tag",
    "update_model_version",
    "log_batch",
    "log_artifact",
)


class _Killed(BaseException):
    pass


def counted(monkeypatch, last=None):
    """Counts the calls that change the store; the one after the `last` kills. Returns the names of those that were made."""
    made = []

    def counting(name, original):
        def call(*values, **options):
            if len(made) == last:
                raise _Killed
            made.append(name)
            return original(*values, **options)

        return call

    for name in CHANGES:
        monkeypatch.setattr(MlflowClient, name, counting(name, getattr(MlflowClient, name)))
    return made


def standing(client, found):
    """Returns all that the registry says, but for who ran."""
    versions = {
        str(each.version): ({key: value for key, value in each.tags.items() if key != "tsad.run"}, each.description)
        for each in client.search_model_versions(f"name = '{NAME}'")
    }
    return (
        aliases(client),
        client.get_registered_model(NAME).tags,
        versions,
        found.decision.outcome,
        found.decision.text,
    )


@pytest.mark.slow
def test_a_search_that_is_killed_anywhere_in_the_gate_ends_as_if_it_had_not_been(client, trained, entry, monkeypatch):
    def story(kill):
        entry(trained.bad).enter()
        search = entry(trained.good)
        with monkeypatch.context() as patch:
            made = counted(patch, kill)
            try:
                search.enter()
            except _Killed:
                assert kill is not None
        found = standing(client, search.enter())
        client.delete_registered_model(NAME)
        return found, made

    undisturbed, calls = story(None)
    assert undisturbed[0] == {"champion": "2"}
    assert {"_create_model_version", "set_registered_model_alias", "set_registered_model_tag"} <= set(calls)
    # one kill before each call that differs from the one before; of the many tags of a version, the first and the last
    places = [place for place, name in enumerate(calls) if name != calls[place - 1]] + [len(calls) - 1]
    assert len(places) > 6
    for place in places:
        assert story(place)[0] == undisturbed, f"killed before call {place}, {calls[place]}"


def test_what_was_decided_before_a_kill_is_not_decided_again(client, trained, entry):
    entry(trained.bad).enter()
    search = entry(trained.good)
    first = search.enter()
    client.set_registered_model_alias(NAME, "champion", "1")  # somebody took it back
    assert search.enter().decision.text == first.decision.text
    assert champion(NAME) == "1"


# --- by hand ---


@pytest.fixture
def tsad(store, tsad, tmp_path, monkeypatch):
    """Runs a command beside `experiment.yaml` on the store; returns its exit code, what it printed, the lines of its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSAD_TRACKING_URI", store.uri)
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    return tsad


@pytest.fixture
def three(client, trained, tmp_path):
    """A registry in which version 1 is bad and champion, 2 good, and 3 bad and challenger."""
    client.create_registered_model(NAME)
    for number, detector in enumerate((trained.bad, trained.good, trained.bad)):
        detector.save(tmp_path / str(number))
        client.create_model_version(NAME, (tmp_path / str(number)).as_uri())
    promote(NAME, "1")
    set_challenger(NAME, "3")


def test_promote_makes_a_version_champion_that_beats_it_and_undo_takes_it_back(client, store, three, tsad):
    code, out, _ = tsad("promote", f"models:/{NAME}/2", "--data", "experiment.yaml")
    assert code == 0
    assert "difference 0." in out
    assert out.endswith(f"champion:  models:/{NAME}@champion  (version 2)\n")
    (logged,) = store.search(store.experiment(), f"attributes.run_name = 'promote-{NAME}-2'")
    assert logged.info.status == "FINISHED"
    assert logged.data.tags["tsad.gate"] == client.get_model_version(NAME, "2").tags["tsad.gate"] == "promoted"
    assert logged.data.metrics.keys() == {"gate/champion", "gate/challenger", "gate/margin"}
    code, out, _ = tsad("promote", "--undo", "--name", NAME)
    assert code == 0
    assert out.endswith(f"champion:  models:/{NAME}@champion  (version 1)\n")
    assert champion(NAME) == "1"


def test_a_candidate_of_another_name_is_copied_once_and_must_beat_the_champion(
    client, store, three, trained, tmp_path, tsad
):
    client.create_registered_model(f"{NAME}-candidates")
    for number, detector in (("5", trained.good), ("6", trained.bad)):
        detector.save(tmp_path / number)
        client.create_model_version(f"{NAME}-candidates", (tmp_path / number).as_uri(), tags={"tsad.gate": "first"})
    good, bad = (f"models:/{NAME}-candidates/{number}" for number in (1, 2))
    for _ in range(2):  # the second time it is there already
        assert tsad("promote", bad, "--data", "experiment.yaml", "--into", NAME)[0] == 0
        assert champion(NAME) == "1"
    assert client.get_model_version(NAME, "4").tags["tsad.gate"] == "rejected"
    assert client.get_model_version(NAME, "4").tags["tsad.candidate"] == f"{NAME}-candidates/2"
    assert tsad("promote", good, "--data", "experiment.yaml", "--into", NAME)[0] == 0
    assert champion(NAME) == "5"
    assert tsad("promote", good, "--data", "experiment.yaml", "--into", NAME)[1].startswith(
        "version 5 is champion already"
    )
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 5
    assert Detector.load(tmp_path / "5").digest == load_detector(f"models:/{NAME}@champion").digest


def test_nothing_is_copied_where_the_gate_cannot_decide(client, three, tsad):
    client.create_registered_model("nobody")
    model = f"models:/{NAME}/2"
    code, _, errors = tsad("promote", model, "--data", "experiment.yaml", "--into", "nobody")
    assert (code, len(errors)) == (1, 1)
    assert "models:/nobody must have a champion to compare with, but has none" in errors[0]
    assert tsad("promote", model, "--data", "experiment.yaml", "--into", "no such model")[0] == 1
    assert tsad("promote", model, "--data", "missing.yaml", "--into", NAME)[0] == 1
    assert client.search_model_versions("name = 'nobody'") == []


def test_promote_asks_for_the_margin_and_the_metric_that_are_given(three, tsad):
    code, out, _ = tsad(
        "promote", f"models:/{NAME}/2", "--data", "experiment.yaml", "--metric", "ranking/roc_auc", "--margin", "0.9"
    )
    assert code == 0
    assert "In ranking/roc_auc on" in out
    assert "not above the margin of 0.9" in out
    assert champion(NAME) == "1"


def test_promote_forces_a_version_that_would_not_beat_the_champion(client, three, tsad):
    code, out, _ = tsad("promote", f"models:/{NAME}@challenger", "--force")
    assert code == 0
    assert "Version 3 replaces version 1 without a comparison." in out
    assert client.get_model_version(NAME, "3").tags["tsad.gate"] == "forced"
    assert aliases(client) == {"champion": "3"}


@pytest.fixture
def of_run(client, store, trained, tmp_path, monkeypatch):
    """Returns the URI of a detector in a finished run, as `tsad train` and the trials of a search leave it."""
    monkeypatch.setattr(registering, "log_detector", lambda run_id, folder, series, tags: folder.as_uri())

    def saved(detector, **tags):
        writer = RunWriter.create(store, store.experiment(), "a training", tags)
        detector.save(tmp_path / writer.run_id / DETECTOR)
        writer.files(tmp_path / writer.run_id / DETECTOR, DETECTOR)
        writer.end()
        return f"runs:/{writer.run_id}/{DETECTOR}"

    return saved


def test_the_detector_of_a_run_is_registered_once_and_goes_through_the_gate(client, trained, of_run, tsad):
    bad, good = of_run(trained.bad), of_run(trained.good)
    code, out, _ = tsad("promote", bad, "--data", "experiment.yaml", "--name", NAME)
    assert code == 0
    assert f"models:/{NAME} had no champion; version 1 is the first. It is unknown whether it beats" in out
    code, out, _ = tsad("promote", good, "--data", "experiment.yaml", "--name", NAME, "--margin", "0.99")
    assert (code, aliases(client)) == (0, {"champion": "1", "challenger": "2"})
    code, out, _ = tsad("promote", good, "--data", "experiment.yaml", "--name", NAME)
    assert (code, aliases(client)) == (0, {"champion": "2"})
    assert "version 2 replaces version 1" in out
    code, out, _ = tsad("promote", good, "--force", "--name", NAME)
    assert (code, out.splitlines()[0]) == (0, "version 2 is champion already")
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_a_version_of_a_run_says_what_the_run_knows_of_labels_and_baselines(client, trained, of_run, tsad):
    known = {"tsad.labels_used.selection": "selection", "tsad.beats_baselines": "yes", "tsad.kind": "train"}
    uri = of_run(trained.good, **known)
    assert tsad("promote", uri, "--force", "--name", NAME)[1].startswith("Version 1 becomes champion without")
    tags = client.get_model_version(NAME, "1").tags
    assert tags.items() >= {**known, "tsad.labels_used.training": "nothing", "tsad.gate": "forced"}.items() - {
        ("tsad.kind", "train")
    }
    assert "tsad.kind" not in tags
    assert (tags["tsad.run"], tags["tsad.digest"]) == (uri.split("/")[1], trained.good.digest)


# MLflow's look at the input example, under pandas 3.1
@pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning")
@pytest.mark.slow
def test_a_training_is_promoted_and_served_without_a_second_model(client, store, tsad):
    code, out, _ = tsad("train", "experiment.yaml")
    assert code == 0
    uri = re.search(r"detector: (runs:/\S+)\)", out)[1]
    code, out, _ = tsad("promote", uri, "--data", "experiment.yaml", "--name", NAME)
    assert (code, aliases(client)) == (0, {"champion": "1"})
    run_id = uri.split("/")[1]
    assert store.client.get_run(run_id).info.status == "FINISHED"
    (model,) = store.client.search_logged_models([store.experiment()], f"source_run_id = '{run_id}'")
    version = client.get_model_version(NAME, "1")
    assert (version.source, version.run_id) == (model.model_uri, run_id)
    assert version.tags["tsad.beats_baselines"] in {"yes", "perhaps", "no"}
    features = load_detector(f"models:/{NAME}@champion").scorer.features
    rows = pd.DataFrame(1, range(50), features)
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(rows)["score"].notna().any()


def test_the_champion_is_not_promoted_once_more(three, tsad):
    code, out, _ = tsad("promote", f"models:/{NAME}@champion", "--force")
    assert code == 0
    assert "version 1 is champion already" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["outputs/champion", "--force"],
            "a registered version is models:/NAME/VERSION or models:/NAME@ALIAS, but got outputs",
        ),
        (["runs:/abc/detector", "--force"], "runs:/abc/detector: cannot be found ("),
        ([f"models:/{NAME}/9", "--force"], f"models:/{NAME}/9: cannot be found ("),
        (["models:/absent@champion", "--force"], "models:/absent@champion: cannot be found ("),
        (["--undo", "--name", NAME], "needs a champion before it to go back to"),
        ([f"models:/{NAME}/2", "--data", "experiment.yaml", "--metric", "luck"], "SpecError: gate: metric: "),
        (
            [f"models:/{NAME}/2", "--data", "experiment.yaml", "--set", "data.features=5"],
            "version 2 cannot be compared with champion version 1 on these rows (features must be",
        ),
    ],
)
def test_what_cannot_be_promoted_ends_with_1_and_the_reason(three, tsad, words, message):
    code, _, errors = tsad("promote", *words)
    assert code == 1
    assert message in "\n".join(errors)
    assert champion(NAME) == "1"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["models:/tsad/2"],
        ["models:/tsad/2", "--force", "--data", "experiment.yaml"],
        ["models:/tsad/2", "--force", "--margin", "0.1"],
        ["models:/tsad/2", "--undo"],
        ["--undo", "--force"],
    ],
)
def test_promote_is_asked_for_one_thing(tsad, words):
    code, _, errors = tsad("promote", *words)
    assert code == 2
    assert "give MODEL and --data, MODEL and --force, or --undo" in "\n".join(errors)
