import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.spec import parse
from tsad.tuning.spec import AshaSpec, SearchSpec


@pytest.mark.parametrize(
    ("grace", "reduction", "epochs", "rungs"),
    [
        (1, 3, 9, (1, 3)),  # 9 would be a rung, but there the trial ends anyway
        (1, 3, 10, (1, 3, 9)),
        (2, 3, 12, (2, 6)),
        (1, 2, 9, (1, 2, 4, 8)),
        (4, 2, 4, ()),
        (5, 2, 3, ()),
        (1, 4, 1, ()),
    ],
)
def test_rungs_grow_by_the_reduction_and_end_before_the_last_epoch(grace, reduction, epochs, rungs):
    assert AshaSpec(grace=grace, reduction=reduction).rungs(epochs) == rungs


@given(st.integers(1, 50), st.integers(2, 10), st.integers(1, 500))
def test_every_trial_trains_at_least_the_grace_and_may_train_to_the_end(grace, reduction, epochs):
    rungs = AshaSpec(grace=grace, reduction=reduction).rungs(epochs)
    assert list(rungs) == sorted(set(rungs))
    assert all(grace <= rung < epochs for rung in rungs)
    assert bool(rungs) == (grace < epochs)


def test_asha_can_be_turned_off():
    assert parse(SearchSpec, {"asha": None}, "search").asha is None


@pytest.mark.parametrize(("name", "value"), [("grace", 0), ("reduction", 1)])
def test_an_impossible_rung_is_refused(name, value):
    with pytest.raises(Exception, match=rf"asha\.{name}: input should be greater than or equal to"):
        parse(SearchSpec, {"asha": {name: value}}, "search")
