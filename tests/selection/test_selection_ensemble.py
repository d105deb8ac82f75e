import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from tsad.assessment.artifacts import metrics, write_results
from tsad.assessment.assessment import assess
from tsad.config import ExperimentConfig
from tsad.data.split import split
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Ensemble
from tsad.errors import DataError, DetectorError, SpecError
from tsad.evaluation.pointwise import pr_auc
from tsad.experiment import run
from tsad.selection.ensemble import EnsembleMember, EnsembleSpec, build_ensemble, choose_members, ensemble_config
from tsad.selection.objective import LabeledSpec, LabelFreeSpec, ValidationErrorSpec
from tsad.selection.trial import Candidate, Trial
from tsad.spec import parse, put

L2 = {"window.length": 1, "model": {"kind": "l2"}}
CHANGES = {
    "l2": L2,
    "l2 again": L2 | {"scoring.compress": "root", "scoring.features": "mean", "threshold": {"kind": "sigma"}},
    "pca": {"window.length": 1, "model": {"kind": "pca_error", "components": 2}},
    "linear": {"window.length": 4, "model": {"kind": "window_linear", "components": 3}},
    "constant": {"window.length": 1, "model": {"kind": "constant"}},
}
LABEL_FREE, LABELED = LabelFreeSpec(kind="label_free", edge=12), LabeledSpec(kind="labeled")


@pytest.fixture
def ended(small_experiment, small_data, tmp_path):
    """Returns trials of these names, best first, as a search leaves them behind."""

    def result(*names, **changes):
        return [trial(name, place, changes) for place, name in enumerate(names)]

    def trial(name, place, changes):
        values = put(small_experiment.model_dump(mode="json"), CHANGES[name] | changes.get(name, {}))
        experiment = parse(ExperimentConfig, values, name)
        folder = tmp_path / str(place)
        write_results(run(experiment, small_data), experiment, folder, name)
        candidate = Candidate(place, 0, {}, experiment)
        return Trial(candidate, "finished", value=-float(place), seconds=place + 1.0), folder

    return result


@pytest.fixture
def parts(small_experiment, small_data):
    return split(small_data, small_experiment.split, 12)


def kinds(chosen):
    return [each.detector.scorer.kind for each in chosen]


# --- which ---


def test_the_best_is_chosen_and_then_the_next_best_that_is_unlike(ended, small_data):
    trials = ended("l2", "l2 again", "linear", "pca")
    chosen = choose_members(trials[::-1], small_data, EnsembleSpec(size=3))
    assert kinds(chosen) == ["l2", "window_linear", "pca_error"]  # not the sum of the roots
    assert [each.trial.candidate.number for each in chosen] == [0, 2, 3]
    assert kinds(choose_members(trials, small_data, EnsembleSpec(size=2))) == ["l2", "window_linear"]


def test_the_value_says_which_is_best(ended, small_data):
    (first, folder), second = ended("l2", "linear")
    worse = dataclasses.replace(first, value=-9.0)
    assert kinds(choose_members([(worse, folder), second], small_data, EnsembleSpec())) == ["window_linear", "l2"]


def test_unlike_means_a_smaller_rank_correlation_of_validation_scores(ended, small_data, parts):
    trials = ended("pca", "linear")
    first, second = (Detector.load(folder / "detector").score(parts.validation).values for _, folder in trials)
    correlation = spearmanr(first[3:], second[3:]).statistic  # the first three rows end no window of four
    assert 0 < correlation < 1
    below, above = (EnsembleSpec(diversity=correlation + step) for step in (-1e-9, 1e-9))
    assert kinds(choose_members(trials, small_data, below)) == ["pca_error"]
    assert kinds(choose_members(trials, small_data, above)) == ["pca_error", "window_linear"]


@pytest.mark.slow
def test_a_member_must_be_unlike_every_one_before_it(ended, small_data):
    trials = ended("linear", "l2", "l2 again")
    assert kinds(choose_members(trials, small_data, EnsembleSpec())) == ["window_linear", "l2"]


@pytest.mark.slow
def test_trials_that_did_not_finish_or_left_nothing_are_not_chosen(ended, small_data):
    (stopped, first), (lost, _), last = ended("l2", "linear", "pca")
    stopped = dataclasses.replace(stopped, state="stopped")
    assert kinds(choose_members([(stopped, first), (lost, None), last], small_data, EnsembleSpec())) == ["pca_error"]
    assert choose_members([], small_data, EnsembleSpec()) == []


@pytest.mark.slow
@pytest.mark.parametrize("names", [("l2", "constant"), ("constant", "l2")])
def test_a_detector_that_never_differs_is_unlike_nobody(ended, small_data, names):
    assert kinds(choose_members(ended(*names), small_data, EnsembleSpec())) == [names[0]]


def test_one_trial_makes_no_ensemble(ended, small_data):
    with pytest.raises(DetectorError, match="needs two or more members"):
        build_ensemble(choose_members(ended("l2"), small_data, EnsembleSpec()), small_data)


def test_trials_of_different_splits_make_no_ensemble(ended, small_data):
    trials = ended("l2", "linear", linear={"split.validation": 0.4})
    with pytest.raises(
        DataError, match=r"on the same rows, but g00-window_linear-001 has split .*validation=0\.4.* search"
    ):
        choose_members(trials, small_data, EnsembleSpec())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size: input should be greater than or equal to 2"),
        ({"diversity": 0}, "diversity: input should be greater than 0"),
        ({"diversity": 1}, "diversity: input should be less than 1"),
    ],
)
def test_an_ensemble_that_could_not_be_one_is_refused(options, message):
    with pytest.raises(SpecError, match=message):
        parse(EnsembleSpec, options, "ensemble")


# --- what it comes to ---


@pytest.fixture
def chosen(ended, small_data):
    return choose_members(ended("linear", "l2"), small_data, EnsembleSpec())


def test_it_is_the_ensemble_of_the_saved_detectors(chosen, small_data, parts):
    outcome = build_ensemble(chosen, small_data)
    expected = Ensemble.fit([each.detector.scorer for each in chosen], parts.validation)
    np.testing.assert_array_equal(outcome.test.values, expected.score(small_data.test).values)
    np.testing.assert_array_equal(outcome.validation.values, expected.score(parts.validation).values)
    assert outcome.seconds == 1 + 2
    assert metrics(outcome)["cost/parameters"] == sum(each.detector.scorer.parameters for each in chosen)


def test_it_competes_by_the_same_values(chosen, small_data, parts):
    outcome = build_ensemble(chosen, small_data)
    rows = parts.selection
    scores, labels = outcome.test.values[rows], small_data.test.labels[rows]
    known = ~np.isnan(scores)
    assert LABELED.value(outcome) == pytest.approx(pr_auc(scores[known], labels[known]))
    alone = [LABEL_FREE.value(run(each.experiment, small_data)) for each in chosen]
    assert 0 < LABEL_FREE.value(outcome) <= 1
    assert LABEL_FREE.value(outcome) not in alone


def test_it_has_no_error(chosen, small_data):
    with pytest.raises(
        DataError, match="error is that of one model, but an ensemble has 2; maximize label_free or labeled"
    ):
        ValidationErrorSpec(kind="validation_error").value(build_ensemble(chosen, small_data))


def test_its_threshold_is_the_best_members_fitted_to_its_own_scores(ended, small_data):
    chosen = choose_members(ended("l2 again", "linear"), small_data, EnsembleSpec())
    outcome = build_ensemble(chosen, small_data)
    spec = chosen[0].experiment.threshold
    assert spec.kind == "sigma" != chosen[1].experiment.threshold.kind
    assert outcome.detector.threshold == spec.fit(outcome.validation.values)


def test_labels_that_had_a_hand_in_any_member_had_one_in_it(chosen, small_data):
    first, second = chosen
    assert build_ensemble(chosen, small_data).detector.provenance.worst == "nothing"
    touched = dataclasses.replace(second.detector, training_labels="development", selection_labels="selection")
    detector = build_ensemble([first, dataclasses.replace(second, detector=touched)], small_data).detector
    assert (detector.training_labels, detector.selection_labels) == ("development", "selection")


@pytest.mark.slow
def test_it_is_saved_and_assessed_as_any_detector(chosen, small_data, tmp_path):
    outcome = build_ensemble(chosen, small_data)
    outcome.detector.save(tmp_path / "champion")
    loaded = Detector.load(tmp_path / "champion")
    np.testing.assert_array_equal(loaded.score(small_data.test).values, outcome.test.values)
    assessment = assess(loaded, chosen[0].experiment, small_data, "ensemble")
    assert assessment.report.metrics["ranking/pr_auc"] == outcome.report.metrics["ranking/pr_auc"]
    assert assessment.predictions.shape == assessment.rows.values.shape
    assert assessment.certainty is not None


def test_its_config_trains_it_again(chosen, small_data):
    config = ensemble_config(chosen, (0.75, 0.25))
    again, outcome = run(config, small_data), build_ensemble(chosen, small_data, (0.75, 0.25))
    np.testing.assert_allclose(again.test.values, outcome.test.values)
    assert [member.weight for member in config.members] == [0.75, 0.25]


def test_an_average_takes_part_with_its_own_members(chosen, small_data, tmp_path):
    config = ensemble_config(chosen)
    detector = run(config, small_data).detector
    average = EnsembleMember(Trial(Candidate(0, 0, {}, config), "finished", 1.0, seconds=1.0), detector)
    outcome = build_ensemble([average, chosen[1]], small_data, (0.5, 0.5))
    assert [member.weight for member in outcome.detector.scorer.members] == [0.25, 0.25, 0.5]
    both = ensemble_config([average, chosen[1]], (0.5, 0.5))
    assert [member.weight for member in both.members] == [0.25, 0.75]  # the equal ones are one
    np.testing.assert_allclose(run(both, small_data).test.values, outcome.test.values)
