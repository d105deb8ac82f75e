import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from tests.examples import from_defaults, members
from tsad.errors import SpecError
from tsad.masking import GeometricMask, MaskSpec, NoMask
from tsad.spec import parse


def draw(mask, *shape, seed=0):
    return mask.draw(torch.Size(shape), Generator().manual_seed(seed))


@st.composite
def geometric_masks(draw):
    ratio = draw(st.floats(0.05, 0.7))
    return GeometricMask(
        kind="geometric", ratio=ratio, mean_length=draw(st.floats(max(1.0, ratio / (1 - ratio) + 1e-6), 10))
    )


@settings(max_examples=15)
@given(geometric_masks())
def test_the_stated_ratio_is_hidden_in_runs_of_the_stated_mean_length(mask):
    hidden = draw(mask, 48, 600, 6)
    begins = hidden[:, 1:] & ~hidden[:, :-1]
    runs = int(begins.sum()) + int(hidden[:, 0].sum())
    cut_short = int(hidden[:, -1].sum())  # a run that the window's end cuts counts in part: leave out its end
    assert float(hidden.float().mean()) == pytest.approx(mask.ratio, abs=0.03)
    assert float(hidden.sum()) / (runs - cut_short) == pytest.approx(mask.mean_length, rel=0.15)


@given(geometric_masks())
def test_every_step_is_hidden_equally_often(mask):
    hidden = draw(mask, 2000, 12, 4).float().mean(dim=(0, 2))
    assert torch.allclose(hidden, torch.full((12,), mask.ratio), atol=0.04)


@pytest.mark.parametrize("member", members(MaskSpec))
def test_the_same_seed_draws_the_same_mask(member):
    first, second, other = (draw(from_defaults(member), 8, 30, 5, seed=seed) for seed in (1, 1, 2))
    if first is None:
        assert second is None
        return
    assert first.shape == (8, 30, 5)
    assert first.dtype == torch.bool
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_features_are_hidden_each_on_its_own():
    hidden = draw(GeometricMask(kind="geometric", ratio=0.3), 8, 40, 5)
    assert (hidden != hidden[:, :, :1]).any()


def test_features_are_hidden_together_across_features():
    hidden = draw(GeometricMask(kind="geometric", ratio=0.3, across_features=True), 8, 40, 5)
    assert hidden.any()
    assert hidden.shape == (8, 40, 5)
    assert torch.equal(hidden, hidden[:, :, :1].expand(8, 40, 5))


def test_no_mask_hides_nothing():
    assert draw(NoMask(), 8, 40, 5) is None


def test_a_ratio_that_such_short_runs_cannot_reach_is_refused():
    with pytest.raises(
        SpecError, match=r"mean_length of at least ratio / \(1 - ratio\), but got ratio=0.9 and mean_length=2"
    ):
        parse(GeometricMask, {"kind": "geometric", "ratio": 0.9, "mean_length": 2}, "mask")


def test_the_highest_reachable_ratio_is_drawn():
    mask = GeometricMask(kind="geometric", ratio=0.5, mean_length=1)  # hidden, visible, hidden, visible
    hidden = draw(mask, 50, 20, 1)
    assert torch.equal(hidden[:, 1:], ~hidden[:, :-1])
