"""How surprising a score is beside those of validation rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.detector.ensemble import surprisal


def test_a_surprisal_is_minus_the_logarithm_of_the_share_of_scores_at_least_as_large():
    reference = np.arange(1.0, 100.0)
    shares = {99: 1, 90: 10, 50: 50, 1: 99, 0: 99, -7: 99}  # in hundredths, as n + 1 = 100
    found = surprisal(np.array(list(shares), dtype=float), reference)
    np.testing.assert_allclose(found, [-np.log10(share / 100) for share in shares.values()], rtol=1e-12)


def test_between_two_scores_it_is_between_their_surprisals():
    found = surprisal(np.array([89.25]), np.arange(1.0, 100.0))
    assert found == pytest.approx(-0.75 * np.log10(0.11) - 0.25 * np.log10(0.10))


@pytest.mark.parametrize(
    ("reference", "score", "expected"),
    [
        (
            np.arange(1.0, 100.0),
            104.0,
            2 + 0.4342945,
        ),  # ten at least: those above 90 exceed it by (1 + ... + 9) / 9 = 5
        (np.arange(1.0, 100.0), 149.0, 2 + 10 * 0.4342945),
        (np.arange(2000.0), 2019.0, 3.3012471 + 0.4342945),  # the upper 40: above 1960 by (1 + ... + 39) / 39 = 20
        (np.array([1.0, 1, 1, 2]), 3.0, 0.6989700 + 0.4342945),
        (np.array([0.0] + [5.0] * 20), 15.0, 0.0413927 + 2 * 0.4342945),  # all of the tail alike: by 5 above the rest
    ],
)
def test_beyond_the_largest_score_it_grows_by_mean_excesses_of_the_upper_tail(reference, score, expected):
    assert surprisal(np.array([score]), reference) == pytest.approx(expected, abs=1e-6)


def test_of_exponential_scores_the_surprisal_is_right_far_beyond_all_of_them():
    reference = -np.log1p(
        -(np.arange(1, 2000) / 2000)
    )  # quantiles of a distribution whose tail is known: P(x) = exp(-x)
    scores = np.array([0.1, 1.0, 3.0, 7.0, 12.0, 40.0])
    np.testing.assert_allclose(surprisal(scores, reference), scores * np.log10(np.e), rtol=0.05)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50).filter(lambda values: max(values) - min(values) > 1e-3))
def test_a_surprisal_never_falls_nor_leaps(values):
    reference = np.sort(values)
    scores = np.linspace(reference[0] - 1, reference[-1] + 10, 500)
    found = surprisal(scores, reference)
    assert (np.diff(found) >= 0).all()
    assert found[-1] > found[0] >= 0
    top = reference[-1]
    assert surprisal(np.array([top + 1e-9]), reference) == pytest.approx(
        surprisal(np.array([top]), reference), abs=1e-4
    )


def test_no_score_has_no_surprisal():
    assert np.isnan(surprisal(np.array([1.0, np.nan]), np.arange(5.0))).tolist() == [False, True]
