"""What a training can be told: optimizer, clipping, schedule, precision, labels."""

import json
from pathlib import Path

import pytest
import torch

from tsad.config import ExperimentConfig
from tsad.detector.detector import Detector
from tsad.errors import DataError, SpecError
from tsad.experiment import run
from tsad.provenance import Provenance
from tsad.spec import parse, put
from tsad.training.objective import ObjectiveSpec
from tsad.training.optimizers import AdamWSpec, ConstantRate, CosineRate, StepRate

VALUES = {
    "data": {"kind": "synthetic", "rows": 400, "features": 4, "events": 4},
    "split": {"gap": 16},
    "window": {"length": 8, "stride": 4},
    "model": {"kind": "tcn_ae", "channels": 4, "depth": 1},
    "training": {"epochs": 2, "batch_size": 32},
}


def train(**changes):
    values = put(VALUES, {path.replace("__", "."): value for path, value in changes.items()})
    experiment = parse(ExperimentConfig, values, "options")
    return run(experiment, experiment.data.load(Path()))


def losses(outcome):
    return [epoch.train["squared_error"] for epoch in outcome.history]


def test_a_cosine_falls_from_the_rate_to_its_floor_after_a_climb():
    rate = CosineRate(kind="cosine", warmup=2, floor=0.1)
    factors = [rate.factor(epoch, 7) for epoch in range(1, 8)]
    assert factors == pytest.approx(
        [1 / 3, 2 / 3, 1.0, 0.1 + 0.45 * (1 + 0.5**0.5), 0.55, 0.1 + 0.45 * (1 - 0.5**0.5), 0.1]
    )


def test_steps_lower_the_rate_every_few_epochs():
    assert [StepRate(kind="step", every=2, ratio=0.5).factor(epoch, 9) for epoch in range(1, 6)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
    ]
    assert ConstantRate().factor(5, 9) == 1


def test_weight_decay_takes_off_its_share_of_a_weight():
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = AdamWSpec(kind="adamw", weight_decay=0.1).build([weight], 0.5)
    weight.grad = torch.zeros(1)
    optimizer.step()
    assert weight.item() == pytest.approx(2.0 * (1 - 0.5 * 0.1))


@pytest.mark.parametrize(
    "change",
    [
        {"training__optimizer": {"kind": "adamw", "weight_decay": 1.0}},
        {"training__clip": 1e-9},
        {"training__schedule": {"kind": "step", "every": 1, "ratio": 0.1}},
        {"training__precision": "bfloat16"},
        {"objective__terms": [{"kind": "squared_error", "weighting": "feature_scaled"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_changes_the_training(change):
    assert losses(train(**change)) != losses(train())


def test_bfloat16_loses_nearly_what_float32_loses():
    assert losses(train(training__precision="bfloat16")) == pytest.approx(losses(train()), rel=0.02)


def test_scoring_is_in_full_precision_after_a_bfloat16_training():
    outcome = train(training__precision="bfloat16")
    assert all(tensor.dtype == torch.float32 for tensor in outcome.detector.scorer.model.state_dict().values())


@pytest.mark.parametrize("kind", ["masked_error", "info_nce"])
def test_terms_of_hidden_entries_need_a_mask(kind):
    with pytest.raises(
        SpecError, match=rf"term {kind} needs hidden entries, but nothing is hidden; set objective.mask"
    ):
        parse(ObjectiveSpec, {"terms": [{"kind": kind}]}, "objective")


LABELED = {"objective__terms": [{"kind": "squared_error", "weighting": {"kind": "forest", "against": "labels"}}]}


def test_labels_reach_training_only_from_rows_set_apart_and_are_told(tmp_path):
    outcome = train(split__selection=0.5, **LABELED)
    assert outcome.detector.provenance == Provenance(training="development")
    outcome.detector.save(tmp_path)
    assert Detector.load(tmp_path).provenance == outcome.detector.provenance
    assert json.loads((tmp_path / "detector.json").read_text())["training_labels"] == "development"
    assert train(split__selection=0.5).detector.provenance == Provenance()
    assert train(split__selection=0.5, split__contamination=0.1).detector.provenance.supervised


def test_an_oracle_threshold_outweighs_what_else_labels_did():
    assert train(split__selection=0.5, threshold={"kind": "best_f1"}, **LABELED).detector.provenance.oracle


def test_labels_without_rows_set_apart_are_refused():
    with pytest.raises(
        DataError, match=r"needs labeled test rows set apart for it, but there are none; set split.selection"
    ):
        train(**LABELED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "learning_rate"),
    [
        ({"kind": "lstm_ae"}, 1e-2),
        ({"kind": "lstm_ae", "cell": "gru"}, 1e-2),
        ({"kind": "tcn_ae"}, 5e-3),
        ({"kind": "transformer_ae", "width": 32, "depth": 1}, 3e-3),
        ({"kind": "adversarial_transformer", "width": 32, "depth": 1}, 3e-3),
        ({"kind": "recurrent_forecaster"}, 1e-2),
    ],
    ids=lambda value: value.get("cell", value["kind"]) if isinstance(value, dict) else "",
)
def test_every_network_beats_an_untrained_copy_of_itself(model, learning_rate):
    changes = {
        "data": {"kind": "synthetic", "rows": 2000, "features": 6, "events": 12},
        "split": {"gap": 16},
        "window": {"length": 16, "stride": 4},
        "model": model,
        "training__learning_rate": learning_rate,
    }
    untrained, trained = (
        train(training__epochs=epochs, **changes).report.metrics["ranking/pr_auc"] for epochs in (0, 12)
    )
    assert trained > untrained + 0.1
