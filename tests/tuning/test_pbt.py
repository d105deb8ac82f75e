"""Population based training: what may change, what a copy takes over, and the schedule that results."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tsad.config import ExperimentConfig
from tsad.errors import SpecError
from tsad.experiment import run
from tsad.selection.trial import Candidate
from tsad.spec import parse, put
from tsad.training.loop import TrainingSpec
from tsad.training.optimizers import AdamWSpec
from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.pbt import ScheduleSegment, changeable, explore, extended, read_schedule, write_schedule
from tsad.tuning.space import Space
from tsad.tuning.spec import PbtSpec, SearchSpec, read_search

SPACE = {
    "seed": 3,
    "data": {"kind": "synthetic", "rows": 400, "features": 6, "events": 8},
    "split": {"gap": 12},
    "window": {"length": {"choice": [4, 8]}},
    "model": {"kind": "lstm_ae", "hidden": 8, "latent": 3},
    "training": {
        "epochs": {"choice": [6, 8]},
        "batch_size": {"choice": [64]},
        "learning_rate": {"range": [1e-4, 1e-1], "log": True},
        "optimizer": {"choice": [{"kind": "adam"}, {"kind": "adamw", "weight_decay": {"range": [0.01, 0.1]}}]},
    },
}
DECAY = "training.optimizer:adamw.weight_decay"


# --- what a search with a population says ---


def spec(**values):
    return parse(SearchSpec, {"pbt": {"every": 2}} | values, "search")


def test_a_population_needs_nothing_else_to_be_said():
    found = spec()
    assert (found.asha, found.reuse, found.algorithm.kind) == (None, False, "random")
    without = SearchSpec()
    assert (without.asha is None, without.reuse, without.algorithm.kind) == (False, True, "map_elites")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"asha": {}}, r"pbt and asha exclude each other, .*; set asha: null"),
        ({"reuse": True}, r"pbt takes no trial of another search .*; set reuse: false"),
        ({"trials": 1}, r"pbt needs a population of 2 or more, but got trials=1"),
        (
            {"algorithm": {"kind": "aging"}},
            r"pbt needs all candidates at once, but the algorithm aging waits .*; take random",
        ),
        ({"trials": 5, "algorithm": {"kind": "evolution"}}, r"evolution with a population of trials=5 or more"),
        ({"pbt": {"every": 0}}, r"pbt\.every: input should be greater than or equal to 1, but got 0"),
        (
            {"pbt": {"every": 1, "fraction": 0.6}},
            r"pbt\.fraction: input should be less than or equal to 0\.5, but got 0\.6",
        ),
    ],
)
def test_what_cannot_work_is_refused(values, message):
    with pytest.raises(SpecError, match=message):
        spec(**values)


@pytest.mark.parametrize(
    "values", [{"trials": 4, "algorithm": {"kind": "evolution"}}, {"trials": None, "algorithm": {"kind": "grid"}}]
)
def test_an_algorithm_that_proposes_all_at_once_may_draw_the_population(values):
    assert spec(**values).algorithm.kind == values["algorithm"]["kind"]


@pytest.mark.parametrize(
    ("every", "epochs", "rungs"), [(2, 6, (2, 4)), (2, 7, (2, 4, 6)), (1, 3, (1, 2)), (3, 3, ()), (4, 1, ())]
)
def test_trials_are_compared_every_so_many_epochs_but_not_at_the_end(every, epochs, rungs):
    assert PbtSpec(every=every).rungs(epochs) == rungs


@pytest.mark.parametrize("params", ["epochs: {choice: [3, 4]}", "patience: {range: [2, 3]}", "clip: {choice: [0.1]}"])
def test_a_space_in_which_nothing_could_change_is_refused(tmp_path, params):
    path = tmp_path / "space.yaml"
    text = "search: {pbt: {every: 2}}\ndata: {kind: synthetic}\nwindow: {length: {choice: [4, 8]}}\nmodel: {kind: lstm_ae}\n"
    path.write_text(f"{text}training: {{{params}}}\n")
    with pytest.raises(
        SpecError,
        match=r"space\.yaml: search\.pbt needs a hyperparameter .* but the hyperparameters are window\.length",
    ):
        read_search(path, {"search.trials": 2})
    assert read_search(path, {"search.trials": 2, "training.clip": {"choice": [0.1, 1.0]}}).spec.pbt == PbtSpec(every=2)


def test_a_trial_of_a_population_is_never_taken_for_that_of_its_candidate(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("data: {kind: synthetic}\nmodel: {kind: lstm_ae}\ntraining: {clip: {range: [0.1, 1.0]}}\n")
    searches = [read_search(path, {"search.pbt": pbt}) for pbt in (None, {"every": 2}, {"every": 3})]
    data = searches[0].data.load(tmp_path)
    assert len({search.result_fingerprint(data) for search in searches}) == 3
    assert len({search.search_fingerprint(data) for search in searches}) == 3


# --- what changes in a copy ---


def test_only_params_under_training_with_two_values_change_and_not_when_it_ends():
    assert changeable(Space(SPACE)) == ("training.learning_rate", "training.optimizer", DECAY)


PARAMS = {"window.length": 0, "training.epochs": 1, "training.batch_size": 0, "training.optimizer": 1}
PARAMS |= {"training.learning_rate": 0.01, DECAY: 0.05}


def factory(seed=0):
    return CandidateFactory(Space(SPACE), seed)


def donor(params=PARAMS):
    values, active = Space(SPACE).resolve(params)
    return Candidate(7, 0, active, parse(ExperimentConfig, values, "donor"))


def test_a_copy_has_its_donors_experiment_but_for_the_changes():
    copy = explore(donor(), factory())
    experiment = copy.experiment
    assert (experiment.window.length, experiment.training.epochs) == (4, 8)
    assert experiment.training.learning_rate == copy.params["training.learning_rate"]
    values, _ = Space(SPACE).resolve(copy.params)
    assert parse(ExperimentConfig, values, "copy") == experiment


def test_each_change_is_made_in_some_copies_and_every_copy_has_one():
    source, changes = factory(), []
    for _ in range(60):
        params = explore(donor(), source).params
        changes.append({address for address, value in PARAMS.items() if params.get(address) != value})
    assert all(changes)
    assert set.union(*changes) == {"training.learning_rate", "training.optimizer", DECAY}
    assert {"training.learning_rate"} in changes  # a step that leaves the rest as it was
    assert {"training.learning_rate", DECAY} in changes


def test_a_param_that_becomes_active_is_drawn_and_one_that_ceases_to_be_is_dropped():
    source = factory()
    plain = {address: value for address, value in PARAMS.items() if address != DECAY} | {"training.optimizer": 0}
    for params in (explore(donor(before), source).params for before in [plain, PARAMS] * 20):
        assert (DECAY in params) == (params["training.optimizer"] == 1)


def test_the_same_seed_makes_the_same_copies():
    assert explore(donor(), factory(7)) == explore(donor(), factory(7))
    assert explore(donor(), factory(7)) != explore(donor(), factory(8))


# --- the schedule ---


FAST = TrainingSpec(learning_rate=0.1, clip=None)


def test_a_segment_is_added_only_if_the_weights_are_anothers():
    slow = TrainingSpec(learning_rate=0.001)
    first = extended([], 0, "a", FAST)
    assert first == [ScheduleSegment(start=0, trial="a", training=FAST)]
    assert extended(first, 4, "a", FAST) == first
    assert extended(first, 4, "b", FAST) == [*first, ScheduleSegment(start=4, trial="b", training=FAST)]
    assert extended(first, 4, "b", slow) == [*first, ScheduleSegment(start=4, trial="b", training=slow)]


def test_a_schedule_is_a_line_for_each_segment_with_what_changed(tmp_path):
    decays = FAST.model_copy(update={"clip": 1.0, "optimizer": AdamWSpec(kind="adamw", weight_decay=0.2)})
    segments = [
        ScheduleSegment(start=2 * place, trial=name, training=each)
        for place, (name, each) in enumerate([("a", FAST), ("b", decays), ("a", FAST)])
    ]
    write_schedule(segments, tmp_path)
    assert read_schedule(tmp_path) == segments
    first, second, third = (tmp_path / "schedule.json").read_text().splitlines()
    assert '"epochs": 10' in first
    assert second == (
        ' {"start": 2, "trial": "b", "training": {"optimizer": {"kind": "adamw", "weight_decay": 0.2}, "clip": 1.0}},'
    )
    assert third == ' {"start": 4, "trial": "a", "training": {"optimizer": {"kind": "adam"}, "clip": null}}]'


# --- a training that goes on with another learning rate ---


def plain(**training):
    values = put(SPACE, {"window.length": 8, "training": {"epochs": 2, "patience": 9, "batch_size": 64} | training})
    return parse(ExperimentConfig, values, "plain")


@pytest.mark.parametrize("rate", [0.001, 0.1])
def test_adams_next_step_has_the_new_learning_rate_and_the_old_moments(tmp_path, rate):
    """One batch is one step: theta - rate m' / (sqrt(v') + eps) of Kingma and Ba (ICLR 2015), from the moments on disk."""
    first = plain(learning_rate=0.01, epochs=1, batch_size=4096)
    data = first.data.load(Path())
    run(first, data, checkpoints=tmp_path)
    before = load_file(tmp_path / "training.safetensors")
    model = run(
        plain(learning_rate=rate, batch_size=4096), data, checkpoints=tmp_path, resume=True
    ).detector.scorer.model
    after = load_file(tmp_path / "training.safetensors")
    (trainable,) = {name.split(".")[0] for name in before if ".optimizer/" in name}
    for place, name in enumerate(f"{trainable}.module/{name}" for name, _ in model.named_parameters()):
        moments = {key: after[f"{trainable}.optimizer/{place}/{key}"] for key in ("exp_avg", "exp_avg_sq", "step")}
        assert moments["step"] == 2
        assert float(before[f"{trainable}.optimizer/{place}/step"]) == 1
        m, v = moments["exp_avg"] / (1 - 0.9**2), moments["exp_avg_sq"] / (1 - 0.999**2)
        assert m.abs().sum() > 0
        torch.testing.assert_close(after[name], before[name] - rate * m / (v.sqrt() + 1e-8), rtol=1e-5, atol=1e-7)


def test_patience_goes_on_counting_from_the_best_epoch_of_the_donor(tmp_path):
    patient = plain(learning_rate=0.01, epochs=3)
    data = patient.data.load(Path())
    run(patient, data, checkpoints=tmp_path)
    for epochs in (4, 30):  # the donor's last epoch is not its best, and no later one is better
        wild = plain(learning_rate=5.0, epochs=epochs, patience=2)
        outcome = run(wild, data, checkpoints=tmp_path, resume=True)
    assert len(outcome.history) == 5
    assert min(losses.loss for losses in outcome.history) == outcome.history[2].loss
