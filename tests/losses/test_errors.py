import pytest
import torch

from tsad.losses.contract import BatchOutput, TrainingContext
from tsad.losses.feature_weights import FixedWeights
from tsad.losses.masked_error import MaskedErrorSpec
from tsad.losses.robust_error import AbsoluteErrorSpec, HuberErrorSpec
from tsad.losses.squared_error import SquaredError, SquaredErrorSpec

RESIDUAL = torch.tensor([[[1.0, -3.0], [0.0, 2.0]]])
HIDDEN = torch.tensor([[[True, False], [False, True]]])
ATTEMPT = BatchOutput(RESIDUAL, torch.zeros_like(RESIDUAL), HIDDEN)


def built(spec):
    return spec.build(TrainingContext(torch.zeros(10, 2), torch.Generator()))


def test_errors_are_means_over_all_entries():
    assert float(built(SquaredErrorSpec())(ATTEMPT)) == (1 + 9 + 0 + 4) / 4
    assert float(built(AbsoluteErrorSpec(kind="absolute_error"))(ATTEMPT)) == (1 + 3 + 0 + 2) / 4


def test_huber_error_is_square_within_delta_and_straight_beyond():
    error = built(HuberErrorSpec(kind="huber_error", delta=2.0))
    assert float(error(ATTEMPT)) == (0.5 + 2 * (3 - 1) + 0 + 2) / 4


def test_masked_error_counts_hidden_entries_alone():
    assert float(built(MaskedErrorSpec(kind="masked_error"))(ATTEMPT)) == (1 + 4) / 2


def test_masked_error_of_a_batch_with_nothing_hidden_is_nothing():
    error = built(MaskedErrorSpec(kind="masked_error"))
    assert float(error(ATTEMPT._replace(hidden=torch.zeros_like(HIDDEN)))) == 0
    with pytest.raises(ValueError, match=r"needs a mask, but nothing was hidden; set objective.mask"):
        error(ATTEMPT._replace(hidden=None))


def test_a_feature_counts_by_its_weight():
    error = SquaredError(FixedWeights(torch.tensor([0.5, 1.5])))
    assert float(error(ATTEMPT)) == (0.5 * 1 + 1.5 * 9 + 0 + 1.5 * 4) / 4
