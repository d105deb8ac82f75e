import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import detector_of, from_defaults, members, sensors
from tests.test_experiment import changed
from tsad.assessment.leakage import Overlap, future_shuffle, labels_unread, overlap, permuted_labels
from tsad.config import ExperimentConfig
from tsad.detector.scoring import MeanSmoothing, Scores, ScoringSpec
from tsad.evaluation.pointwise import pr_auc
from tsad.experiment import run
from tsad.models import ModelSpec
from tsad.provenance import Provenance
from tsad.series import Series, runs

MODELS = [from_defaults(member) for member in members(ModelSpec)]


def drawn(seed=0):
    return np.random.default_rng(seed)


# --- the future ---


@dataclasses.dataclass(frozen=True)
class Ahead:
    """Scores a row by the size of the row that comes `ahead` rows later, and says that it waits for `lookahead`."""

    ahead: int
    lookahead: int

    def score(self, series):
        values = np.full(len(series), np.nan)
        values[: len(series) - self.ahead] = np.abs(series.values[self.ahead :]).sum(axis=1)
        return Scores(values, series.values.astype(float))


class ScaledByAllRows(Ahead):
    """Divides its scores by the largest of all rows passed, as many a published detector does."""

    def score(self, series):
        values = super().score(series).values
        return Scores(values / np.nanmax(values), series.values.astype(float))


@pytest.mark.parametrize("over", ["last", "mean"])
@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.kind)
def test_no_model_sees_beyond_the_rows_that_its_scores_wait_for(spec, over):
    scoring = ScoringSpec(over=over, scale="validation", smooth=MeanSmoothing(kind="mean", length=4))
    detector = detector_of(spec, sensors(80), 8, scoring)
    result = future_shuffle(detector.scorer, sensors(80, seed=1), 50, drawn())
    assert (result.shuffled, result.dropped, result.clean) == (0, 0, True)
    assert result.compared == 51 - detector.scorer.lookback


@pytest.mark.parametrize(("ahead", "lookahead", "clean"), [(1, 0, False), (3, 2, False), (3, 3, True), (0, 0, True)])
def test_a_scorer_that_looks_further_ahead_than_it_says_is_caught(ahead, lookahead, clean):
    result = future_shuffle(Ahead(ahead, lookahead), sensors(60), 40, drawn())
    assert result.clean == clean
    assert (result.shuffled > 0) != clean
    assert (result.dropped > 0) != clean


def test_scores_scaled_by_all_rows_are_caught_though_shuffling_leaves_the_largest():
    series = sensors(60)
    values = series.values.copy()
    values[50] = 9
    result = future_shuffle(ScaledByAllRows(0, 0), dataclasses.replace(series, values=values), 40, drawn())
    assert result.shuffled == 0
    assert result.dropped > 0
    assert not result.clean


def test_the_change_by_hand():
    # rows 0 1 2 3 4 5, each scored by the next one: the score of row 3 is 4, or 5 if the last two are swapped, or none
    series = Series(np.arange(6, dtype=np.float32)[:, None], ("a",))
    swap = next(seed for seed in range(9) if drawn(seed).permutation(2).tolist() == [1, 0])
    result = future_shuffle(Ahead(1, 0), series, 3, drawn(swap))
    assert (result.row, result.compared, result.shuffled, result.dropped) == (3, 4, 1, np.inf)
    assert str(result) == (
        "4 scores up to row 3 change by 1 when later rows are shuffled and by inf when they are dropped: the future is seen"
    )
    assert str(future_shuffle(Ahead(0, 0), series, 3, drawn(swap))).endswith(
        "by 0 when they are dropped: no look-ahead"
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [(59, "60 rows have one and 0 of 60 rows may"), (80, "60 rows have"), (-1, "0 rows have one and 60 of 60")],
)
def test_nothing_to_compare_is_no_clean_result(row, message):
    with pytest.raises(ValueError, match=rf"only if a row up to {row} has .* but {message}.*; take another row"):
        future_shuffle(Ahead(0, 0), sensors(60), row, drawn())


def test_later_rows_that_are_all_the_same_prove_nothing():
    with pytest.raises(ValueError, match="later rows differ"):
        future_shuffle(Ahead(0, 0), Series(np.ones((9, 2), np.float32), ("a", "b")), 4, drawn())


# --- labels that have nothing to do with the scores ---


def mean_of_anomalies(scores, labels):
    return float(scores[labels].mean())


def test_the_distribution_over_all_shifts_by_hand():
    scores, labels = np.array([3.0, np.nan, 1, 0, 5, 2]), np.array([1, 1, 0, 0, 1, 0], bool)
    # without the NaN: 3 1 0 5 2 and 1 0 0 1 0; shifted: 3+5 -> 1+2, 0+3, 5+1, 2+0
    result = permuted_labels(scores, labels, mean_of_anomalies, drawn(), shifts=4)
    assert result.value == 4
    assert result.null == (1, 1.5, 1.5, 3)
    assert result.p_value == 1 / 5


def test_a_value_that_shifts_reach_too_has_a_large_p_value():
    result = permuted_labels(np.array([3.0, 3, 0, 5]), np.array([1, 0, 0, 0], bool), mean_of_anomalies, drawn(), 3)
    assert result.p_value == (1 + 2) / (1 + 3)
    assert str(result) == ("3.000 on the labels, 3.000 (0.300 to 4.800, 90 %) on 3 circular shifts of them: p = 0.75")


def test_a_shift_keeps_the_lengths_of_anomalies():
    labels = np.zeros(50, bool)
    labels[5:8] = labels[20:27] = True
    seen = []

    def look(scores, shifted):
        start = int(np.flatnonzero(~shifted)[0])
        seen.append(sorted(stop - first for first, stop in runs(np.roll(shifted, -start))))
        return 0.0

    permuted_labels(drawn().random(50), labels, look, drawn(), shifts=49)
    assert seen == [[3, 7]] * 50


def smooth_scores_and_labels():
    """Returns scores that rise and fall slowly as those of a detector, and labels of long anomalies, without relation."""
    noise = drawn(1).normal(size=2100)
    labels = np.zeros(2000, bool)
    for start in (100, 700, 1500):
        labels[start : start + 80] = True
    return np.convolve(noise, np.ones(101) / 101, "valid"), labels


def test_scores_that_know_nothing_gain_nothing():
    scores, labels = smooth_scores_and_labels()
    assert 0.05 < permuted_labels(scores, labels, pr_auc, drawn(), 99).p_value < 0.95


def test_scores_that_know_the_labels_lose_their_gain():
    scores, labels = smooth_scores_and_labels()
    result = permuted_labels(scores + labels, labels, pr_auc, drawn(), 99)
    assert result.value > 0.9
    assert np.median(result.null) < 0.2
    assert result.p_value < 0.1


def test_a_metric_that_flatters_flatters_shifted_labels_too():
    scores = drawn(3).random(2000)
    _, labels = smooth_scores_and_labels()

    def touched(values, truth):  # the share of anomalies with at least one of the highest 5 %
        flags = values > np.quantile(values, 0.95)
        return float(np.mean([flags[start:stop].any() for start, stop in runs(truth)]))

    result = permuted_labels(scores, labels, touched, drawn())
    assert result.value > 0.9
    assert result.p_value > 0.5


@pytest.mark.parametrize(("anomalous", "shifts"), [(0, 3), (8, 3), (2, 8), (2, 0)])
def test_shifts_that_cannot_show_anything_are_refused(anomalous, shifts):
    message = rf"{shifts} shifts need more scored rows .* got 8 rows, {anomalous} of them anomalous; take fewer"
    with pytest.raises(ValueError, match=message):
        permuted_labels(np.arange(8.0), np.arange(8) < anomalous, mean_of_anomalies, drawn(), shifts)


# --- the test in the train ---


def letters(text, boundaries=()):
    return Series(
        np.array([[ord(letter), 0] for letter in text], np.float32), ("letter", "zero"), boundaries=boundaries
    )


@pytest.mark.parametrize(
    ("length", "windows", "found", "places"),
    [
        (1, 7, 5, ((1, 1), (5, 0))),  # b c b, a b
        (2, 6, 3, ((1, 1), (5, 0))),  # bc, cb, ab
        (3, 5, 1, ((1, 1),)),  # bcb
        (4, 4, 0, ()),
        (8, 0, 0, ()),
        (99, 0, 0, ()),
    ],
)
def test_windows_of_the_test_rows_that_occur_in_train_by_hand(length, windows, found, places):
    assert overlap(letters("abcb"), letters("xbcbzab"), length) == Overlap(length, windows, found, places)


@pytest.mark.parametrize(("train", "test", "found"), [((2,), (), 0), ((), (1,), 0), ((3,), (2,), 1), ((), (), 1)])
def test_no_window_reaches_across_a_break(train, test, found):
    assert overlap(letters("xabz", train), letters("ab", tuple(row for row in test if row < 2)), 2).repeated == found


def test_a_test_that_contains_its_train_is_caught():
    train, strange = sensors(300, seed=1), sensors(60, seed=2)
    test = dataclasses.replace(train, values=np.concatenate([strange.values, train.values]))
    for length in (1, 16, 100, 300):
        found = overlap(train, test, length)
        assert found.repeated == 300 - length + 1
        assert found.starts == ((60, 0),)
    assert overlap(train, strange, 1).ratio == 0
    assert str(overlap(train, test)) == (
        "300 of 360 test rows (83.3%) occur in train; stretches begin at test row 60 (training row 0)"
    )
    assert str(overlap(train, test, 100)).startswith("201 of 261 windows of 100 test rows (77.0%) occur in train;")


def test_one_differing_bit_makes_another_row():
    train = sensors(50)
    values = train.values.copy()
    values[20, 3] = np.nextafter(values[20, 3], np.float32(9))
    assert overlap(train, dataclasses.replace(train, values=values)).repeated == 49


@given(st.text("ab", min_size=1, max_size=30), st.text("ab", min_size=1, max_size=30), st.integers(1, 9))
def test_windows_are_found_as_texts_are(train, test, length):
    texts = [test[start : start + length] for start in range(len(test) - length + 1)]
    found = overlap(letters(train), letters(test), length)
    assert (found.windows, found.repeated) == (len(texts), sum(text in train for text in texts))
    for here, there in found.starts:
        assert test[here : here + length] == train[there : there + length]


# --- labels that an experiment does not declare ---


class Undeclared(ExperimentConfig):
    """Says that it uses no labels, whatever it does."""

    @property
    def provenance(self):
        return Provenance()


FOREST = {"kind": "squared_error", "weighting": {"kind": "forest", "against": "labels"}}
LINEAR = {"kind": "window_linear"}
SUPERVISED = {
    "contamination": {"model": LINEAR, "split__contamination": 0.1},
    "forest weights": {"objective": {"terms": [FOREST]}},
}

every_supervised = pytest.mark.parametrize("sections", SUPERVISED.values(), ids=SUPERVISED)


def undeclared(experiment):
    return Undeclared.model_validate(experiment.model_dump())


@pytest.mark.parametrize(("threshold", "flags"), [("percentile", 0), ("best_f1", None)])
def test_an_honest_experiment_reads_no_label_but_those_it_declares(small_experiment, small_data, threshold, flags):
    experiment = changed(small_experiment, model=LINEAR, threshold={"kind": threshold})
    result = labels_unread(experiment, small_data, drawn())
    assert (result.clean, result.scores, result.flags) == (True, 0, flags)


@pytest.mark.slow
def test_a_trained_network_reads_no_label(small_experiment, small_data):
    result = labels_unread(small_experiment, small_data, drawn())
    assert str(result) == (
        "with other labels scores change by 0, and 0 flags (labels declared: none): no other label is read"
    )


@every_supervised
def test_declared_labels_of_selection_rows_may_be_read_and_no_others(small_experiment, small_data, sections):
    result = labels_unread(changed(small_experiment, **sections), small_data, drawn())
    assert result.declared["training"] == "development"
    assert (result.clean, result.scores, result.flags) == (True, 0, 0)


@every_supervised
def test_a_supervised_experiment_that_declares_nothing_is_caught(small_experiment, small_data, sections):
    result = labels_unread(undeclared(changed(small_experiment, **sections)), small_data, drawn())
    assert result.scores > 0
    assert not result.clean
    assert str(result).endswith("(labels declared: none): labels are read undeclared")


def test_an_oracle_that_declares_nothing_is_caught_by_its_flags(small_experiment, small_data):
    experiment = changed(small_experiment, model=LINEAR, threshold={"kind": "best_f1"})
    result = labels_unread(undeclared(experiment), small_data, drawn())
    assert result.scores == 0
    assert result.flags > 0
    assert not result.clean


def test_a_run_that_looks_at_labels_of_training_rows_is_caught(monkeypatch, small_experiment, small_data):
    def peeking(experiment, data):
        values = data.train.values + (0 if data.train.labels is None else np.float32(data.train.labels)[:, None])
        return run(experiment, dataclasses.replace(data, train=dataclasses.replace(data.train, values=values)))

    monkeypatch.setattr("tsad.assessment.leakage.run", peeking)
    shorter = dataclasses.replace(small_data, train=small_data.train.part(0, 380))
    assert not labels_unread(changed(small_experiment, model=LINEAR), shorter, drawn()).clean


def test_without_labels_nothing_could_be_read(small_experiment, small_data):
    bare = dataclasses.replace(small_data, test=dataclasses.replace(small_data.test, labels=None))
    with pytest.raises(
        ValueError, match="only labels can be read or unread, but the test rows of synthetic-0 have none"
    ):
        labels_unread(small_experiment, bare, drawn())
