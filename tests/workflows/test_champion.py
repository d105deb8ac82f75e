import pytest

from tests.stores import clear_environment, opened
from tsad.assessment import baselines
from tsad.assessment.artifacts import write_results
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.detector.scorer import Scorer
from tsad.errors import TsadError
from tsad.experiment import run
from tsad.registry import register
from tsad.registry.register import list_versions
from tsad.selection.trial import Candidate, Trial
from tsad.spec import parse, put, read_yaml
from tsad.tracking.runs import RunWriter
from tsad.tuning.spec import SearchSpec
from tsad.workflows import champion as crowning
from tsad.workflows.champion import register_champion, select_champion
from tsad.workflows.search import SearchResult

LABELED = {"kind": "labeled"}
CHANGES = (
    {"model": {"kind": "l2"}, "window.length": 1},
    {"model": {"kind": "window_linear", "components": 4}},
    {"model": {"kind": "autoregressive_ridge"}},
)


@pytest.fixture
def ended(small_experiment, small_data, tmp_path):
    """Returns three finished trials with their files, worth what is given, and a failed one."""

    def trials(values):
        found = []
        for number, (changes, value) in enumerate(zip(CHANGES, values, strict=True)):
            experiment = parse(ExperimentConfig, put(small_experiment.model_dump(mode="json"), changes), "candidate")
            folder = tmp_path / str(number)
            write_results(run(experiment, small_data), experiment, folder, "a trial")
            candidate = Candidate(number, 0, {}, experiment)
            found.append((Trial(candidate, "finished", value, seconds=1.0), folder))
        failed = Candidate(3, 0, {}, found[0][0].candidate.experiment)
        return [*found, (Trial(failed, "failed", None, seconds=1.0, reason="ValueError: no"), None)]

    return trials


def search_of(**values):
    return parse(SearchSpec, {"maximize": LABELED, **values}, "search")


@pytest.fixture
def chosen(ended, small_data, tmp_path):
    """Returns the champion, the detector that was saved for it and its folder."""

    def champion(values, **search):
        folder = tmp_path / "search"
        found = select_champion(search_of(**search), ended(values), small_data, folder, "space")
        return found, Detector.load(folder / "champion" / DETECTOR), folder

    return champion


def test_the_best_trial_is_champion_where_the_ensemble_is_worth_less(chosen):
    champion, detector, folder = chosen((0.5, 1.0, 0.2))
    assert champion.trials == (champion.name,) == ("g00-window_linear-001",)
    assert isinstance(detector.scorer, Scorer)
    assert champion.metrics["value"] == 1.0
    assert 0 < champion.metrics["ensemble/value"] < 1.0
    assert parse(ExperimentConfig, read_yaml(folder / "champion.yaml"), "champion") == champion.experiment


def test_the_ensemble_of_the_best_is_champion_where_it_is_worth_more(chosen):
    champion, detector, folder = chosen((0.01, 0.03, 0.02), ensemble={"size": 2})
    assert champion.name == "ensemble of 2"
    assert champion.trials == ("g00-window_linear-001", "g00-autoregressive_ridge-002")
    assert isinstance(detector.scorer, Ensemble)
    assert champion.metrics["value"] == champion.metrics["ensemble/value"] > 0.03
    for path in (folder / "champion.yaml", folder / "champion" / "experiment.yaml"):
        assert parse(ExperimentConfig, read_yaml(path), "champion") == champion.experiment


@pytest.mark.parametrize("search", [{"ensemble": None}, {"maximize": {"kind": "validation_error"}}])
def test_without_an_ensemble_the_best_trial_is_champion(chosen, search):
    champion, _, _ = chosen((0.01, 0.03, 0.02), **search)
    assert champion.name == "g00-window_linear-001"
    assert champion.metrics == {"value": 0.03}


@pytest.mark.slow
@pytest.mark.parametrize("values", [(0.01, 0.03, 0.02), (0.5, 1.0, 0.2)])
def test_a_champion_knows_whose_labels_chose_it(chosen, values):
    _, detector, _ = chosen(values)
    assert detector.provenance.selection == "selection"


def test_without_a_finished_trial_there_is_no_champion(ended, small_data, tmp_path):
    failed = ended((0.1, 0.1, 0.1))[-1:]
    with pytest.raises(TsadError, match=r"none of 1 finished \(ValueError: no\)"):
        select_champion(search_of(), failed, small_data, tmp_path / "search", "space")


@pytest.fixture
def crowned(chosen, small_data, tmp_path_factory, monkeypatch):
    """Returns the result of a search, the tags of its run, and what is printed."""
    clear_environment(monkeypatch)
    store = opened(tmp_path_factory.getbasetemp() / "store")
    # what takes seconds and is proved elsewhere: the model that MLflow serves, plots, most of the baselines
    monkeypatch.setattr(register, "log_detector", lambda run_id, folder, series, tags: folder.as_uri())
    monkeypatch.setattr(crowning, "write_assessment", lambda assessment, folder: None)
    monkeypatch.setattr(baselines, "BASELINES", {name: baselines.BASELINES[name] for name in ("random", "l2")})

    def became(name):
        champion, _, folder = chosen((0.5, 1.0, 0.2), register=name)
        writer = RunWriter.create(store, store.experiment(), "a search", {})
        champion, assessment, decision = register_champion(writer, small_data, champion, search_of(register=name))
        trial = Trial(Candidate(1, 0, {}, champion.experiment), "finished", 1.0, seconds=1.0)
        result = SearchResult(
            writer.run_id, (trial,), champion, assessment, decision, small_data.name, folder, store.uri
        )
        run = store.client.get_run(writer.run_id)
        return result, run.data.tags, str(result)

    return became


def test_the_winner_becomes_the_first_champion_and_everybody_is_told_what_it_beats(crowned):
    found, tags, out = crowned("tsad-crowned")
    (version,) = list_versions("tsad-crowned")
    assert version.aliases == ("champion",)
    assert (tags["tsad.gate"], version.tags["tsad.gate"]) == ("first", "first")
    assert tags["tsad.beats_baselines"] == version.tags["tsad.beats_baselines"]
    assert tags["tsad.beats_baselines"] in {"yes", "perhaps", "no"}
    assert "best baseline" in found.decision.text == version.description
    assert tags["mlflow.note.content"].startswith(
        "Winner `g00-window_linear-001`, tsad-crowned version 1, on synthetic-0"
    )
    for told in (tags["mlflow.note.content"], out):
        assert found.decision.text in told
    assert "champion:  models:/tsad-crowned@champion  (version 1)\n" in out
    assert "models serve -m models:/tsad-crowned@champion" in out


@pytest.mark.slow
def test_without_a_name_nothing_is_registered_and_the_files_remain(crowned, tmp_path):
    found, tags, out = crowned(None)
    assert (found.decision, found.champion.uri, found.champion.version) == (None, None, None)
    assert "tsad.gate" not in tags
    assert tags["mlflow.note.content"].startswith("Winner `g00-window_linear-001`, on synthetic-0")
    assert f"detector:  {tmp_path / 'search' / 'champion' / DETECTOR}\n" in out
    assert "models:/" not in out
    assert Detector.load(tmp_path / "search" / "champion" / DETECTOR).scorer.kind == "window_linear"
