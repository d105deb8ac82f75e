import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.pointwise import pr_auc, roc_auc
from tsad.evaluation.volume import volume_under_surface
from tsad.series import runs

SCORES = np.array([(17 * row**2 + 5 * row) % 97 for row in range(24)], float)
GOLDEN = {  # labels, buffer, (VUS-ROC, VUS-PR) of SCORES, of SCORES // 20 (ties) and of a constant, by TSB-AD 1.5
    "event at row 0": (
        *("110000000000000000000000", 10),
        [(0.476436211489, 0.159971308625), (0.445199963024, 0.135846013560), (0.522736290493, 0.161273884964)],
    ),
    "event at the last row": (
        *("000000000000000000000001", 10),
        [(0.967125981000, 0.703618732615), (0.949758383546, 0.430673947095), (0.521681563303, 0.119607218298)],
    ),
    "events at both ends": (
        *("100000000000000000000011", 10),
        [(0.716768820642, 0.540057306635), (0.659092746155, 0.329866382754), (0.551656735771, 0.280881103262)],
    ),
    "two events nearer than the buffer": (
        *("000000011000100000000000", 12),
        [(0.876538557789, 0.484277093969), (0.898733656789, 0.506259255158), (0.606427009914, 0.411962743331)],
    ),
    "buffers that reach past the other event": (
        *("000000000101000000000000", 16),
        [(0.862972059150, 0.422466338302), (0.855927667756, 0.435318579474), (0.615957610896, 0.401382943214)],
    ),
    "buffers that share a single row": (
        *("000001000000010000000000", 8),
        [(0.713022072646, 0.312825509915), (0.730942158504, 0.321911130421), (0.582601247253, 0.322679621394)],
    ),
    "buffers side by side": (
        *("000001000000001000000000", 8),
        [(0.627456788087, 0.285192956397), (0.636629711483, 0.302895417524), (0.583654184078, 0.324597276775)],
    ),
    "a buffer longer than the series": (
        *("000000000001000000000000", 100),
        [(0.973389122697, 0.780790269162), (0.969603143162, 0.798250939955), (0.871235520147, 0.818857071945)],
    ),
    "no buffer": (
        *("000001110000000011100000", 0),
        [(0.643518518519, 0.355859418359), (0.689814814815, 0.380723443223), (0.500000000000, 0.250000000000)],
    ),
    "all rows but one": (
        *("111111111110111111111111", 6),
        [(0.776397515528, 0.983528469842), (0.813664596273, 0.985611125281), (0.857142857143, 0.988095238095)],
    ),
}

few_scores = st.sampled_from([0.0, 1.0, 2.0, 2.5, -1.0, np.inf])
both_kinds = st.lists(st.tuples(few_scores, st.booleans()), min_size=2, max_size=18).filter(
    lambda rows: 0 < sum(label for _, label in rows) < len(rows)
)


def bools(text):
    return np.array([letter == "1" for letter in text])


def columns(rows):
    return np.array([score for score, _ in rows]), np.array([label for _, label in rows])


@pytest.mark.parametrize(("labels", "buffer", "expected"), GOLDEN.values(), ids=GOLDEN)
def test_the_volumes_are_those_of_tsb_ad(labels, buffer, expected):
    volumes = [volume_under_surface(scores, bools(labels), buffer) for scores in (SCORES, SCORES // 20, np.ones(24))]
    np.testing.assert_allclose(volumes, expected, rtol=0, atol=1e-11)


def test_the_volumes_of_a_real_machine_are_those_of_tsb_ad(smd_folder):
    data = SmdSpec(kind="smd", machine="1-2").load(smd_folder)
    distances = np.abs(data.test.values - data.train.values.mean(axis=0, dtype=np.float64)).mean(axis=1)
    volume = volume_under_surface(distances.round(4), data.test.labels)  # 904 different scores in 23694 rows
    assert volume == pytest.approx((0.9402801847707107, 0.4435658441643005), abs=1e-9)


def test_a_random_score_has_a_high_roc_volume_and_a_low_pr_volume(smd_folder):
    labels = SmdSpec(kind="smd", machine="1-2").load(smd_folder).test.labels
    volume = volume_under_surface(np.random.default_rng(0).random(len(labels)), labels)
    assert 0.6 < volume.roc < 0.7
    assert labels.mean() < volume.pr < 2 * labels.mean()


def test_volumes_by_hand():
    # An event at row 2 of 4, found after the row before it; buffers of 0, 1 and 2 rows. The first two leave the labels as
    # they are. The last gives both neighbors a label of s.
    s = np.sqrt(1 / 2)
    recall = s / (1 + s / 2)  # of row 1 alone; with row 2 it is 1
    fall_out = (1 - s) / (3 - s / 2)  # of row 1 alone, and of both
    roc = 1 - fall_out + fall_out * recall / 2
    pr = recall * s + (1 - recall) * (1 + s) / 2
    volume = volume_under_surface(np.array([0.0, 3.0, 2.0, 1.0]), bools("0010"), buffer=2, thresholds=4)
    assert volume == pytest.approx(((2 * 2 / 3 + roc) / 3, (2 * 1 / 2 + pr) / 3))


def volume_by_definition(scores, labels, buffer, thresholds):
    """Returns the volumes from plain loops over buffers, thresholds and rows."""
    count, areas = len(scores), []
    for length in range(buffer + 1):
        reach = length // 2
        soft, buffers = labels.astype(float), []
        for start, stop in runs(labels):
            buffers.append({row for row in range(start - reach, stop + reach) if 0 <= row < count})
            for row in buffers[-1] - set(range(start, stop)):
                soft[row] = min(1, soft[row] + np.sqrt(1 - max(start - row, row - stop + 1) / length))
        merged = [buffers[0]]
        for later in buffers[1:]:
            merged = [*merged[:-1], merged[-1] | later] if merged[-1] & later else [*merged, later]
        curve, precisions = [(0, 0)], []
        for rank in np.linspace(0, count - 1, thresholds).astype(int):
            flags = scores >= sorted(scores, reverse=True)[rank]
            hits = soft[flags].sum()
            positives = (labels.sum() + soft[flags | labels].sum()) / 2
            found = np.mean([any(flags[row] for row in rows) for rows in merged])
            curve.append(((flags.sum() - hits) / (count - positives), found * min(1, hits / positives)))
            precisions.append(hits / flags.sum())
        recalls = np.diff([recall for _, recall in curve])
        areas.append((np.trapezoid(*np.transpose([*curve, (1, 1)])[::-1]), recalls @ precisions))
    return np.mean(areas, axis=0)


@given(both_kinds, st.integers(0, 12), st.integers(2, 25))
def test_the_volumes_are_those_of_the_definition(rows, buffer, thresholds):
    scores, labels = columns(rows)
    expected = volume_by_definition(scores, labels, buffer, thresholds)
    assert volume_under_surface(scores, labels, buffer, thresholds) == pytest.approx(expected, abs=1e-12)


@given(both_kinds.filter(lambda rows: len(runs(columns(rows)[1])) == 1))
def test_without_a_buffer_the_volumes_of_one_event_are_the_areas_over_all_rows(rows):
    scores, labels = columns(rows)
    scores = np.minimum(scores, 9)
    volume = volume_under_surface(scores, labels, buffer=1, thresholds=len(scores))
    assert volume == pytest.approx((roc_auc(scores, labels), pr_auc(scores, labels)))


@given(both_kinds)
def test_only_the_order_of_scores_matters(rows):
    scores, labels = columns(rows)
    assert volume_under_surface(scores, labels, 6) == volume_under_surface(np.arctan(scores) ** 3, labels, 6)


def test_a_score_that_comes_a_little_early_gains_by_the_buffer():
    labels = np.arange(200) // 10 == 12
    early = np.roll(labels, -4).astype(float)
    assert volume_under_surface(early, labels, 40).pr > volume_under_surface(early, labels, 0).pr + 0.1


@pytest.mark.parametrize("label", [False, True])
def test_rows_of_one_kind_have_no_volume(label):
    with pytest.raises(ValueError, match=f"normal and anomalous rows, but {5 * label} of 5 .*; evaluate rows of both"):
        volume_under_surface(np.arange(5.0), np.full(5, label))


@pytest.mark.parametrize(("buffer", "thresholds"), [(-1, 250), (100, 1)])
def test_no_buffer_below_0_and_no_single_threshold(buffer, thresholds):
    with pytest.raises(ValueError, match=f"at least 2, but got {buffer} and {thresholds}; customary are 100 and 250"):
        volume_under_surface(np.arange(3.0), bools("010"), buffer, thresholds)
