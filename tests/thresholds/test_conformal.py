import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from scipy.signal import lfilter

from tsad.errors import SpecError
from tsad.spec import parse
from tsad.thresholds.conformal import ConformalSpec, ConformalThreshold
from tsad.thresholds.sample import KEPT


def conformal(rate, block):
    return ConformalSpec(kind="conformal", rate=rate, block=block)


def flags_by_definition(validation, scores, rate, block):
    """Returns what Benjamini and Hochberg's procedure says of the last row of each block, rows before the first normal."""
    p = (1 + (validation[None, :] >= scores[:, None]).sum(axis=1)) / (len(validation) + 1)
    padded = np.concatenate([np.ones(block - 1), p])
    blocks = [padded[row : row + block] for row in range(len(scores))]
    return [bool(stats.false_discovery_control(values)[-1] <= rate + 1e-12) for values in blocks]


def test_thresholds_by_hand():
    # 19 validation scores: p = 1/20 above 19, 2/20 above 18, ...; two rows together, of which 1/5 may be false:
    # alone a row needs p <= 1/10, beside another that stands out p <= 2/10
    threshold = conformal(0.2, 2).fit(np.arange(1.0, 20.0))
    thresholds = threshold.per_row(np.array([17.5, 16.5, 5.0, 19.5, np.nan, 16.5, 17.0]))
    assert thresholds.tolist() == [18.0, 16.0, 16.0, 18.0, 16.0, 16.0, 16.0]
    assert threshold.after(np.array([17.5])).per_row(np.array([5.0])) == 16.0
    assert threshold.method == "conformal, false discovery rate 0.2 in 2 rows"


def test_a_block_of_one_row_compares_its_p_value_with_the_rate():
    threshold = conformal(0.1, 1).fit(np.arange(1.0, 20.0))
    assert threshold.flags(np.array([18.0, 18.5, 30.0])).tolist() == [False, True, True]


@pytest.mark.parametrize(("rate", "block"), [(0.05, 1), (0.1, 2), (0.1, 7), (0.3, 25), (0.5, 40)])
@pytest.mark.parametrize("strange", [0.02, 0.3])
def test_flags_are_those_of_the_procedure(rate, block, strange):
    generator = np.random.default_rng(block)
    validation = generator.normal(size=400).round(1)  # with ties
    scores = (generator.normal(size=600) + 3 * (generator.random(600) < strange)).round(1)
    flags = conformal(rate, block).fit(validation).flags(scores).tolist()
    assert flags == flags_by_definition(validation, scores, rate, block)
    assert 0 < sum(flags) < 500


def test_rows_without_a_score_are_not_counted():
    validation, scores = (np.random.default_rng(seed).normal(size=300) for seed in (0, 1))
    scores[::7] += 5
    threshold = conformal(0.2, 10).fit(validation)
    holes = np.insert(scores, np.repeat(np.arange(0, 300, 2), 3), np.nan)
    assert threshold.flags(holes)[~np.isnan(holes)].tolist() == threshold.flags(scores).tolist()


# --- what it promises ---


def test_a_block_of_normal_rows_has_an_alarm_as_rarely_as_the_rate_allows():
    generator, spec, blocks = np.random.default_rng(0), conformal(0.2, 20), 2000
    found = sum(
        spec.fit(generator.exponential(size=199)).flags(generator.exponential(size=20)).any() for _ in range(blocks)
    )
    assert 0.15 < found / blocks < 0.2 + 3 * np.sqrt(0.2 * 0.8 / blocks)


def test_of_normal_rows_one_in_810_is_flagged():
    generator = np.random.default_rng(0)
    shares = [
        conformal(0.1, 100).fit(generator.exponential(size=10_000)).flags(generator.exponential(size=20_000)).mean()
        for _ in range(20)
    ]
    assert 1 / np.mean(shares) == pytest.approx(100 / 0.1 * 0.9**2, rel=0.15)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_of_the_alarms_no_more_than_the_rate_are_false(rate):
    generator = np.random.default_rng(0)
    false = alarms = 0
    for _ in range(20):
        threshold = conformal(rate, 50).fit(generator.normal(size=2000))
        strange = generator.random(2000) < 0.1
        flags = threshold.flags(generator.normal(size=2000) + 4 * strange)
        false, alarms = false + (flags & ~strange).sum(), alarms + flags.sum()
    assert alarms > 3000
    assert false / alarms < rate + 3 * np.sqrt(rate * (1 - rate) / alarms)


@pytest.mark.parametrize(("correlation", "times"), [(0.9, (2, 5)), (0.99, (10, 50))])
def test_autocorrelation_multiplies_false_alarms_as_is_said(correlation, times):
    shares = []
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(size=28_000)
        scores = lfilter([1.0], [1.0, -correlation], noise)[1000:]
        shares.append(conformal(0.1, 100).fit(scores[:7000]).flags(scores[7000:]).mean())
    low, high = times
    assert low < 810 * np.mean(shares) < high


# --- what it needs ---


@pytest.mark.parametrize(
    ("rate", "block", "needed"), [(0.1, 100, 999), (0.3, 30, 99), (0.5, 1, 1), (0.35, 21, 59), (0.1, 49, 489)]
)
def test_a_row_far_out_is_flagged_on_its_own_as_soon_as_there_are_enough_scores(rate, block, needed):
    spec = conformal(rate, block)
    assert spec.scores_needed == needed
    assert spec.fit(np.arange(float(needed))).flags(np.array([1e9])).tolist() == [True]
    p = 1 / needed  # with one score fewer
    assert stats.false_discovery_control([p, *np.ones(block - 1)])[0] > rate


def test_too_few_scores_are_answered_with_the_number_needed():
    message = "conformal needs at least 999 scores, but only 998 .* smaller threshold.block or a larger threshold.rate"
    with pytest.raises(ValueError, match=message):
        conformal(0.1, 100).fit(np.arange(998.0))


def test_more_scores_than_are_kept_cannot_be_asked_for():
    values = {"kind": "conformal", "rate": 0.01, "block": 200}
    with pytest.raises(
        SpecError, match=rf"block / rate must be at most {KEPT + 1}, .* block=200 and rate=0.01; take a sm"
    ):
        parse(ConformalSpec, values, "threshold")
    parse(ConformalSpec, values | {"block": 100}, "threshold")


@pytest.mark.parametrize(
    "damage", [{"recent": (1.0, 2.0)}, {"sample": {"count": 8, "values": tuple(map(float, range(8)))}}]
)
def test_a_damaged_threshold_is_refused(damage):
    values = conformal(0.2, 2).fit(np.arange(9.0)).model_dump()
    assert ConformalThreshold(**values)
    with pytest.raises(ValidationError, match="must hold 9 validation scores and fewer than 2 recent ones, but holds"):
        ConformalThreshold(**values | damage)


def test_an_update_changes_the_validation_scores_and_not_the_recent_ones():
    threshold = conformal(0.2, 3).fit(np.arange(20.0)).after(np.array([1.0, 50.0, 60.0]))
    updated = threshold.update(np.array([100.0]))
    assert updated.sample.values == (*np.arange(20.0), 100.0)
    assert updated.recent == threshold.recent == (50.0, 60.0)


def test_what_was_asked_before_leaves_a_threshold_equal_and_its_description_the_same():
    spec, scores = conformal(0.2, 3), np.arange(20.0)
    asked, other = spec.fit(scores), spec.fit(scores)
    assert asked.per_row(np.zeros(1)) == 19.0
    assert asked == other
    assert hash(asked) == hash(other)
    assert asked.model_dump_json() == other.model_dump_json()
    assert asked.update(np.full(80, 50.0)).per_row(np.zeros(1)) == 50.0


def test_of_more_scores_than_are_kept_the_p_values_stay_honest():
    validation = np.random.default_rng(0).exponential(size=100_000)
    threshold = conformal(0.01, 1).fit(validation)
    assert (validation > threshold.per_row(np.zeros(1))[0]).mean() == pytest.approx(0.01, abs=2e-4)
