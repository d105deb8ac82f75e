import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from tsad.errors import SpecError
from tsad.masking import BlockMask, GeometricMask, LinearRatio, NoMask, RandomMask, hide
from tsad.spec import parse


def draw(mask, *shape, seed=0, progress=1.0):
    return mask.draw(torch.Size(shape), Generator().manual_seed(seed), progress)


def waves(windows=4, length=20, features=3):
    return 5 + torch.randn(windows, length, features, generator=Generator().manual_seed(9))


KINDS = [RandomMask(kind="random"), GeometricMask(kind="geometric"), BlockMask(kind="block")]
every_kind = pytest.mark.parametrize("mask", KINDS, ids=lambda mask: mask.kind)


@given(st.floats(0.05, 0.95))
def test_random_masks_hide_the_stated_ratio(ratio):
    assert float(draw(RandomMask(kind="random", ratio=ratio), 20, 50, 10).float().mean()) == pytest.approx(
        ratio, abs=0.03
    )


@given(st.integers(2, 60), st.integers(1, 20), st.floats(0.05, 0.9), st.integers(0, 99))
def test_blocks_that_may_not_overlap_hide_an_exact_number_of_steps(length, block, ratio, seed):
    hidden = draw(BlockMask(kind="block", length=block, ratio=ratio), 6, length, 3, seed=seed).sum(dim=1)
    size = min(block, length // 2)
    assert (hidden == min(max(1, round(ratio * length / size)), length // size) * size).all()


def test_a_block_mask_hides_whole_blocks():
    hidden = draw(BlockMask(kind="block", length=7, ratio=0.1), 50, 70, 2)
    assert (hidden.sum(dim=1) == 7).all()
    places = torch.arange(70)[None, :, None].expand(hidden.shape)
    first = torch.where(hidden, places, 99).amin(dim=1)
    last = torch.where(hidden, places, -1).amax(dim=1)
    assert (last - first == 6).all()
    assert first.min() < 8
    assert last.max() > 61  # blocks reach both ends


def test_overlapping_blocks_hide_no_more_than_disjoint_ones():
    disjoint, overlapping = (
        draw(BlockMask(kind="block", length=5, ratio=0.5, overlap=overlap), 30, 60, 4).sum(dim=1)
        for overlap in (False, True)
    )
    assert (disjoint == 30).all()
    assert (overlapping <= 30).all()
    assert overlapping.float().mean() < 26


@every_kind
def test_features_can_be_hidden_together(mask):
    together = mask.model_copy(update={"across_features": True, "ratio": 0.3})
    hidden = draw(together, 8, 40, 5)
    assert hidden.any()
    assert torch.equal(hidden, hidden[:, :, :1].expand(8, 40, 5))
    apart = draw(mask, 8, 40, 5)
    assert (apart != apart[:, :, :1]).any()


@every_kind
@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_a_linear_schedule_moves_the_hidden_ratio(mask, progress):
    scheduled = mask.model_copy(update={"ratio": 0.4, "schedule": LinearRatio(kind="linear", start=0.2)})
    ratio = float(draw(scheduled, 100, 100, 5, progress=progress).float().mean())
    assert ratio == pytest.approx(0.2 + 0.2 * progress, abs=0.03)


@every_kind
def test_a_schedule_may_begin_with_nothing_hidden(mask):
    scheduled = mask.model_copy(update={"schedule": LinearRatio(kind="linear")})
    assert not draw(scheduled, 10, 40, 5, progress=0.0).any()
    assert draw(scheduled, 10, 40, 5, progress=1.0).any()


def test_a_schedule_that_starts_above_what_short_runs_can_reach_is_refused():
    values = {"kind": "geometric", "ratio": 0.2, "mean_length": 2, "schedule": {"kind": "linear", "start": 0.9}}
    with pytest.raises(SpecError, match=r"mean_length of at least ratio / .* but got ratio=0.9"):
        parse(GeometricMask, values, "mask")


def test_no_mask_shows_everything():
    shown, hidden = hide(NoMask(), waves(), Generator())
    assert hidden is None
    assert torch.equal(shown, waves())


@every_kind
@pytest.mark.parametrize("fill", ["zero", "mean", "noise"])
def test_what_is_filled_in_depends_on_visible_entries_alone(mask, fill):
    mask = mask.model_copy(update={"fill": fill, "ratio": 0.4})
    windows = waves()
    shown, hidden = hide(mask, windows, Generator().manual_seed(1))
    changed, same = hide(mask, windows + 1000 * hidden, Generator().manual_seed(1))
    assert hidden.any()
    assert torch.equal(same, hidden)
    assert torch.equal(changed, shown)
    assert torch.equal(shown[~hidden], windows[~hidden])
    assert (shown != windows)[hidden].all()


def test_hidden_entries_are_filled_with_the_mean_of_their_feature():
    windows = torch.tensor([[[1.0, 7.0], [2.0, 7.0], [6.0, 8.0], [9.0, 9.0]]])

    class Fixed(RandomMask):
        def draw(self, shape, generator, progress=1.0):
            return torch.tensor([[[False, True], [False, True], [True, True], [True, True]]])

    shown, _ = hide(Fixed(kind="random", fill="mean"), windows, Generator())
    assert shown.tolist() == [
        [[1.0, 0.0], [2.0, 0.0], [1.5, 0.0], [1.5, 0.0]]
    ]  # the second feature has nothing to show


def test_noise_has_mean_and_deviation_of_what_is_visible():
    windows = 10 + 3 * torch.randn(1, 20_000, 1, generator=Generator().manual_seed(0))
    shown, hidden = hide(RandomMask(kind="random", ratio=0.5, fill="noise"), windows, Generator().manual_seed(1))
    assert float(shown[hidden].mean()) == pytest.approx(10, abs=0.15)
    assert float(shown[hidden].std()) == pytest.approx(3, abs=0.15)
