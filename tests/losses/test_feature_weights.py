import pytest
import torch

from tsad.losses.contract import TrainingContext
from tsad.losses.feature_weights import FeatureScaledWeighting


def built(features=3, **keys):
    spec = FeatureScaledWeighting(kind="feature_scaled", **keys)
    return spec.build(TrainingContext(torch.zeros(10, features), torch.Generator()))


def residual(*roots):
    """Returns a (4, 5, F) residual whose mean square is root^2 for each feature."""
    return torch.tensor(roots).expand(4, 5, -1)


def test_weights_are_inverse_to_the_mean_squared_error():
    weights = built()(residual(1.0, 2.0, 0.5))  # 1/MSE: 1, 1/4, 4; their mean is 1.75
    assert weights.tolist() == pytest.approx([1 / 1.75, 0.25 / 1.75, 4 / 1.75])


def test_weights_have_mean_one_and_follow_the_running_error():
    weights = built(decay=0.9)
    weights(residual(1.0, 2.0, 0.5))
    later = weights(residual(2.0, 1.0, 0.5))
    running = 0.9 * 0.1 * torch.tensor([1.0, 4.0, 0.25]) + 0.1 * torch.tensor([4.0, 1.0, 0.25])
    expected = (1 / running) / (1 / running).mean()
    assert later.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert float(later.mean()) == pytest.approx(1)


def test_a_feature_without_error_takes_no_more_than_the_floor_allows():
    weights = built(floor=0.01)(residual(1.0, 1.0, 0.0))  # mean MSE 2/3, lowest that counts 1/150
    assert weights.tolist() == pytest.approx([3 / 152, 3 / 152, 3 * 150 / 152], rel=1e-4)


def test_weights_are_ones_before_anything_was_seen():
    assert built().eval()(residual(1.0, 2.0, 3.0)).tolist() == [1, 1, 1]
    assert built()(residual(0.0, 0.0, 0.0)).tolist() == [1, 1, 1]


def test_validation_changes_no_weight():
    weights = built()
    trained = weights(residual(1.0, 2.0, 0.5))
    weights.eval()
    assert torch.equal(weights(residual(9.0, 0.1, 3.0)), trained)


def test_no_gradient_flows_through_the_weights():
    error = residual(1.0, 2.0, 0.5).clone().requires_grad_()
    assert not built()(error).requires_grad
