import numpy as np
import pytest

from tsad.data.contamination import contaminate
from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError, SpecError
from tsad.series import Series
from tsad.spec import parse

SPLIT = {"gap": 8, "selection": 0.5}


def numbered(rows, first=0, anomalies=()):
    """Returns a series whose values say which row they are; anomalous rows have a negative number."""
    values, labels = np.arange(first, first + rows, dtype=np.float32)[:, None], np.zeros(rows, bool)
    for start, stop in anomalies:
        labels[start:stop] = True
    return Series(np.where(labels[:, None], -values, values), ("row",), labels=labels)


def data():
    return DataSet(
        "numbered", "made here", numbered(400), numbered(400, 1000, [(20, 30), (60, 61), (120, 140), (300, 350)])
    )


def parts(share):
    return split(data(), parse(SplitSpec, SPLIT | {"contamination": share}, "split"), 8)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.3])
def test_the_stated_share_of_fit_rows_is_anomalous(share):
    values = parts(share).fit.values
    found = float((values < 0).mean())
    assert share <= found < share + 20 / len(values)  # at most one stretch too many


def test_anomalies_come_from_rows_that_are_never_reported():
    mixed = parts(0.3)
    reported = mixed.test.values[mixed.reported]
    assert not set(np.abs(mixed.fit.values[:, 0])) & set(np.abs(reported[:, 0]))


def test_validation_and_reported_rows_are_the_same_for_every_share():
    clean, mixed = parts(0.0), parts(0.3)
    np.testing.assert_array_equal(mixed.validation.values, clean.validation.values)
    assert mixed.reported == clean.reported
    np.testing.assert_array_equal(mixed.fit.values[: len(clean.fit)], clean.fit.values)


def test_a_higher_share_holds_the_stretches_of_a_lower_one():
    lower, higher = parts(0.05).fit.values, parts(0.2).fit.values
    np.testing.assert_array_equal(higher[: len(lower)], lower)


def test_a_stretch_comes_with_the_rows_around_it_as_a_segment_of_its_own():
    pool = numbered(100, 1000, [(40, 45)])
    mixed = contaminate(numbered(50), pool, 0.05, context=7)
    assert mixed.boundaries == (50,)
    np.testing.assert_array_equal(mixed.values[50:], pool.values[33:52])


def test_stretches_come_again_when_there_are_too_few():
    mixed = contaminate(numbered(100), numbered(20, 1000, [(0, 2)]), 0.2, context=3)
    assert (mixed.values < 0).mean() >= 0.2
    assert len(mixed.boundaries) > 2


def test_no_contamination_leaves_the_rows_as_they_are():
    assert not parts(0.0).fit.boundaries


def test_contamination_without_selection_rows_is_refused():
    with pytest.raises(SpecError, match=r"takes rows from the selection part, so that they are not reported, but got"):
        parse(SplitSpec, {"contamination": 0.1}, "split")


def test_contamination_without_labeled_anomalies_is_refused():
    with pytest.raises(DataError, match=r"these 20 rows have none; enlarge split.selection"):
        contaminate(numbered(50), numbered(20), 0.1, context=3)
