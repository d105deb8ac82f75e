import pytest
import torch
from torch import Generator

from tsad.losses.contract import TrainingContext
from tsad.losses.forest_weights import ForestWeighting
from tsad.losses.squared_error import SquaredErrorSpec

NOTHING = torch.zeros(1, 1, 4)


def rows(count=600, seed=0):
    """Returns (T, 4) rows: the first two features move together, the others each on their own."""
    values = torch.randn(count, 4, generator=Generator().manual_seed(seed))
    values[:, 1] = values[:, 0] + 0.1 * values[:, 1]
    return values


def weights(labeled=None, seed=0, **keys):
    spec = ForestWeighting(kind="forest", trees=30, **keys)
    return spec.build(TrainingContext(rows(), Generator().manual_seed(seed), labeled))(NOTHING)


def labeled_rows():
    """Returns rows in which the third feature alone carries the anomaly."""
    values, labels = rows(400, seed=1), torch.zeros(400, dtype=torch.bool)
    labels[100:140] = labels[300:320] = True
    values[labels, 2] += 4
    return values, labels


def test_weights_rise_on_the_feature_that_alone_carries_the_labeled_anomaly():
    found = weights(labeled_rows(), against="labels", share=0.8)
    assert int(found.argmax()) == 2
    assert found[2] > 2
    assert (found[[0, 1, 3]] < 0.7).all()


def test_permuted_columns_give_weight_to_features_that_depend_on_each_other():
    found = weights(against="permuted")
    assert (found[:2] > 1.1).all()
    assert (found[2:] < 0.8).all()


def test_injected_anomalies_give_weight_to_every_feature():
    assert (weights(against="injected") > 0.5).all()


@pytest.mark.parametrize("against", ["permuted", "injected", "labels"])
def test_weights_have_mean_one_and_forget_no_feature(against):
    found = weights(labeled_rows(), against=against, share=0.8)
    assert float(found.mean()) == pytest.approx(1)
    assert (found >= 0.2 - 1e-6).all()


def test_the_same_seed_gives_the_same_weights():
    assert torch.equal(weights(seed=3), weights(seed=3))
    assert not torch.equal(weights(seed=3), weights(seed=4))


def test_rows_that_never_change_weigh_the_same():
    spec = ForestWeighting(kind="forest", trees=5)
    found = spec.build(TrainingContext(torch.ones(50, 4), Generator()))(NOTHING)
    assert found.tolist() == [1, 1, 1, 1]


def test_labels_are_asked_for_and_named_when_they_are_missing():
    with pytest.raises(
        ValueError, match="need labeled rows that are never reported, but none were set apart; set split"
    ):
        weights(against="labels")
    values, labels = labeled_rows()
    with pytest.raises(ValueError, match=r"all 400 rows set apart are normal; enlarge split.selection"):
        weights((values, torch.zeros_like(labels)), against="labels")


def test_only_weights_from_labels_make_a_term_supervised():
    said = [
        SquaredErrorSpec(weighting=ForestWeighting(kind="forest", against=against)).reads_labels
        for against in ("permuted", "injected", "labels")
    ]
    assert said == [False, False, True]
