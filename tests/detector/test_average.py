"""An average of members: a detector like any other, trained from a config, saved, streamed."""

import numpy as np
import pytest

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.detector.ensemble import Member
from tsad.detector.scorer import Scorer
from tsad.errors import DataError, SpecError
from tsad.experiment import run
from tsad.series import Series
from tsad.spec import parse, read_yaml, write_yaml
from tsad.streaming.stream import Stream

L2 = {"model": {"kind": "l2"}, "window": {"length": 1}, "scoring": {"smooth": {"kind": "mean", "length": 3}}}
RIDGE = {"model": {"kind": "autoregressive_ridge"}, "window": {"length": 6}}
BASE = {"data": {"kind": "synthetic"}, "split": {"gap": 8}, "seed": 3}


def config(*members, **more):
    return parse(ExperimentConfig, {**BASE, "members": list(members), **more}, "average")


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(900, 3)).astype(np.float32)
    labels = np.zeros(300, bool)
    labels[100:110] = True
    values[700:710] += 4
    names = ("a", "b", "c")
    return DataSet("rows", "memory", Series(values[:600], names), Series(values[600:], names, labels))


def test_the_weights_are_those_of_the_members(data):
    one, two, both = (
        run(each, data).test.values
        for each in (config({**L2, "weight": 3.0}, RIDGE), config(L2, {**RIDGE, "weight": 3.0}), config(L2, RIDGE))
    )
    assert np.nanmax(np.abs((one + two) / 2 - both)) < 1e-12
    assert np.nanmax(np.abs(one - two)) > 0.1


def test_equal_weights_are_equal_whatever_they_are(data):
    scaled = run(config({**L2, "weight": 2.0}, {**RIDGE, "weight": 2.0}), data).test.values
    assert np.array_equal(scaled, run(config(L2, RIDGE), data).test.values, equal_nan=True)


def test_an_average_is_saved_with_its_weights(data, tmp_path):
    detector = run(config({**L2, "weight": 3.0}, RIDGE), data).detector
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path)
    assert [member.weight for member in loaded.scorer.members] == [3.0, 1.0]
    assert np.array_equal(loaded.score(data.test).values, detector.score(data.test).values, equal_nan=True)


def test_a_stream_scores_an_average_as_a_batch_does(data):
    detector = run(config({**L2, "weight": 3.0}, RIDGE), data).detector
    stream = Stream(detector)
    parts = [stream.push(data.test.values[first : first + 50]) for first in range(0, 300, 50)]
    streamed = np.concatenate([part.scores for part in parts])
    assert np.allclose(streamed, detector.score(data.test).values, equal_nan=True, atol=1e-6)


def test_members_that_differ_in_scoring_share_a_model(data):
    scaled = {**RIDGE, "scoring": {"scale": "validation"}}
    members = run(config(RIDGE, scaled, L2), data).detector.scorer.members
    assert members[0].scorer.model is members[1].scorer.model
    assert members[0].scorer.model is not members[2].scorer.model


def test_a_saved_average_computes_the_errors_of_a_shared_model_once(data, tmp_path, monkeypatch):
    other = {**RIDGE, "model": {"kind": "autoregressive_ridge", "order": 2}}
    outcome = run(config(RIDGE, {**RIDGE, "scoring": {"compress": "root"}}, other, L2), data)
    outcome.detector.save(tmp_path)
    loaded = Detector.load(tmp_path)
    models = [member.scorer.model for member in loaded.scorer.members]
    assert models[0] is models[1]
    assert len({id(model) for model in models}) == 3
    counted = []
    original = Scorer.errors
    monkeypatch.setattr(Scorer, "errors", lambda scorer, series: counted.append(1) or original(scorer, series))
    scores = loaded.score(data.test).values
    assert len(counted) == 3
    np.testing.assert_array_equal(scores, outcome.test.values)
    alone = [member.score(data.test).values for member in loaded.scorer.members]
    np.testing.assert_allclose(np.mean(alone, axis=0), scores, rtol=1e-12)


def test_members_of_equal_models_with_other_errors_share_no_errors(data):
    absolute = {**RIDGE, "scoring": {"error": "absolute"}}
    outcome = run(config(RIDGE, absolute), data)
    first, second = (member.scorer for member in outcome.detector.scorer.members)
    assert first.model is second.model
    assert first.error_key != second.error_key
    whole = Stream(outcome.detector).push(data.test.values).scores
    np.testing.assert_allclose(whole, outcome.detector.score(data.test).values, rtol=1e-9)


def test_members_that_look_ahead_share_errors_in_a_stream_too(data):
    linear = {"model": {"kind": "window_linear", "components": 2}, "window": {"length": 4}}
    plain, rooted = ({**linear, "scoring": {"over": "mean", "compress": how}} for how in ("none", "root"))
    detector = run(config(plain, rooted), data).detector
    stream = Stream(detector)
    pushed = [stream.push(data.test.values[first : first + 7]).scores for first in range(0, 300, 7)]
    scores = np.concatenate([*pushed, stream.finish().scores])
    np.testing.assert_allclose(scores, detector.score(data.test).values, rtol=1e-9)


def test_a_trained_member_trains_with_a_seed_of_its_own(data, tmp_path):
    trained = {
        "model": {"kind": "lstm_ae", "hidden": 4, "latent": 2},
        "window": {"length": 4},
        "training": {"epochs": 1},
    }
    other = {**trained, "training": {"epochs": 1, "batch_size": 16}}
    outcome = run(config(trained, other, L2), data, checkpoints=tmp_path)
    first, second, _ = (member.scorer.tensors for member in outcome.detector.scorer.members)
    assert any(not np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)
    assert sorted(path.parent.name for path in tmp_path.rglob("best.safetensors")) == ["member-0", "member-1"]
    assert outcome.history == ()


def test_rows_that_stand_still_take_the_fit_rows_as_reference(data):
    values = data.train.values.copy()
    values[400:] = 0.0
    still = DataSet("still", "memory", Series(values, data.train.features), data.test)
    scores = run(config(L2, RIDGE), still).test.values
    assert np.isfinite(scores[10:]).all()
    assert np.nanmean(scores[100:110]) > np.nanmean(scores[20:90])


def test_rows_that_never_vary_are_an_error(data):
    still = DataSet("still", "memory", Series(np.zeros((600, 3), np.float32), data.train.features), data.test)
    with pytest.raises(DataError, match="no member of the average can score the validation rows"):
        run(config(L2, RIDGE), still)


def test_the_file_of_an_average_reads_equal(tmp_path):
    written = config({**L2, "weight": 3.0}, RIDGE)
    write_yaml(tmp_path / "average.yaml", written, "an average")
    assert parse(ExperimentConfig, read_yaml(tmp_path / "average.yaml"), "average") == written
    assert "window" not in written.model_dump()
    assert "members" not in parse(ExperimentConfig, {**BASE, **L2}, "one").model_dump()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**BASE}, "needs a model, or members"),
        ({**BASE, "members": [L2]}, "needs two or more members, but got 1"),
        ({**BASE, "members": [L2, RIDGE], "window": {"length": 4}}, "sections in its members, but got window"),
        ({**BASE, "members": [L2, {**RIDGE, "weight": 0}]}, r"members\.1\.weight: input should be greater than 0"),
        ({**BASE, "members": [L2, {"members": [L2, L2]}]}, r"members\.1\.members: extra inputs"),
    ],
)
def test_a_mistake_in_an_average_is_named(values, message):
    with pytest.raises(SpecError, match=message):
        parse(ExperimentConfig, values, "average")


def test_the_fallback_counts_only_where_validation_rows_stand_still(data):
    scorer = run(parse(ExperimentConfig, {**BASE, **L2}, "one"), data).detector.scorer
    validation, fit = data.train.part(400, 600), data.train.part(0, 300)
    plain, spare = Member.fit(scorer, validation), Member.fit(scorer, validation, fallback=fit)
    assert np.array_equal(plain.reference, spare.reference)
    still = Series(np.zeros((200, 3), np.float32), data.train.features)
    assert np.array_equal(Member.fit(scorer, still, fallback=fit).reference, Member.fit(scorer, fit).reference)
    with pytest.raises(DataError, match="must give validation rows different scores"):
        Member.fit(scorer, still, fallback=still)
