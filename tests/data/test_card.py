import dataclasses
import hashlib
import struct
import time

import numpy as np
import pandas as pd
import pytest

from tests.examples import sensors
from tsad.data.card import COPIED_ROWS, DataCard, data_card
from tsad.data.dataset import DataSet, RootCause, TypedEvent
from tsad.data.overlap import Overlap
from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.smd import SmdSpec
from tsad.errors import DataError
from tsad.series import Series

FEATURES = ("load", "stuck", "idle")
TRAIN = [(0.25, 0.5, 1.0), (0.75, 0.5, 1.0), (0.5, 0.5, 1.0), (2.0, 0.5, 1.0)]
TEST = [(0.75, 0.5, 1.0), (3.0, 0.5, 1.0), (4.0, 0.25, 1.0), (5.0, 0.5, 1.0), (6.0, 0.5, 1.0)]
LABELS = [False, True, True, False, True]


def series(rows, labels=None, **columns):
    values = np.array(rows, np.float32)
    return Series(values, FEATURES, labels=None if labels is None else np.array(labels), **columns)


def small(**changes):
    return dataclasses.replace(
        DataSet(
            "small",
            "made here",
            series(TRAIN, boundaries=(2,)),
            series(TEST, LABELS),
            root_causes=(RootCause(1, 3, ("load", "stuck")),),
        ),
        **changes,
    )


def sha256(values, code):
    return hashlib.sha256(b"".join(struct.pack(code, value) for value in values)).hexdigest()


def test_a_card_by_hand():
    card = data_card(small(step_seconds=2.5, missing="ffill", defects=("the clock was wrong",)))
    assert (card.name, card.source, card.features) == ("small", "made here", FEATURES)
    assert (card.step_seconds, card.missing, card.root_causes) == (2.5, "ffill", 1)
    assert (card.train.rows, card.train.segments, card.train.events) == (4, 2, None)
    assert (card.test.rows, card.test.segments) == (5, 1)
    assert card.test.events.model_dump() == {
        "count": 2,
        "rows": 3,
        "ratio": 3 / 5,
        "shortest": 1,
        "median": 1.5,
        "longest": 2,
    }
    assert (card.constant, card.changing) == (("stuck", "idle"), ("stuck",))
    assert card.rows_in_train == Overlap(length=1, windows=5, repeated=1, starts=((0, 1),))
    assert card.windows_in_train == Overlap(length=COPIED_ROWS, windows=0, repeated=0, starts=())
    assert card.defects == ("the clock was wrong",)


def test_kinds_are_counted_the_one_with_the_most_rows_first():
    card = data_card(
        small(
            typed_events=(
                TypedEvent(1, 2, "scan"),
                TypedEvent(1, 3, "flood"),
                TypedEvent(4, 5, "flood"),
                TypedEvent(4, 5, "drip"),
            )
        )
    )
    assert [kind.model_dump() for kind in card.anomaly_types] == [
        {"name": "flood", "events": 2, "rows": 3},
        {"name": "drip", "events": 1, "rows": 1},
        {"name": "scan", "events": 1, "rows": 1},
    ]
    assert "- Anomaly types: flood 3 rows in 2 events; drip 1 rows in 1 events; scan" in card.to_markdown()


def test_hashes_are_those_of_the_bytes_row_by_row():
    card = data_card(small())
    assert card.train.values_sha256 == sha256([cell for row in TRAIN for cell in row], "<f")
    assert card.test.labels_sha256 == sha256(LABELS, "?")
    assert card.train.labels_sha256 is None


def test_a_hash_does_not_depend_on_how_the_rows_lie_in_memory():
    turned = dataclasses.replace(small().test, values=np.asfortranarray(small().test.values))
    assert data_card(small(test=turned)) == data_card(small())


def test_labels_without_an_anomaly_are_no_event():
    events = data_card(small(test=series(TEST, [False] * 5))).test.events
    assert (events.count, events.rows, events.ratio, events.longest) == (0, 0, 0, 0)


def test_a_card_is_read_back_from_its_json():
    card = data_card(small())
    assert DataCard.model_validate_json(card.model_dump_json(), strict=True) == card


def test_the_page_of_a_card_tells_both_parts_facts_and_defects():
    page = data_card(small(step_seconds=60.0, defects=("the clock was wrong",))).to_markdown().splitlines()
    for line in (
        "# Data card: small",
        "| rows | 4 | 5 |",
        "| anomalous rows | not labeled | 3 (60.00%) in 2 events |",
        "| rows in an event, shortest / median / longest |  | 1 / 1.5 / 2 |",
        "- Time from row to row: 60 seconds",
        "- Constant in train: stuck, idle; of these change in test: stuck",
        "- 1 of 5 test rows (20.0%) occur in train; stretches begin at test row 0 (training row 1)",
        "- the clock was wrong",
    ):
        assert page.count(line) == 1, line


def test_the_page_says_that_there_is_no_defect():
    assert data_card(small()).to_markdown().endswith("## Known defects\n\nNone.\n")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_rows_has_no_card(part):
    with pytest.raises(DataError, match=r"small: a data card needs training and test rows, but there are .* give more"):
        data_card(small(**{part: small().train.part(0, 0)}))


# --- the scaling over both parts ---


def scaled(rows, over):
    """Returns the rows scaled to 0 and 1 by the minimum and maximum of the rows `over`."""
    low, high = np.min(over, axis=0), np.max(over, axis=0)
    return ((rows - low) / (high - low)).astype(np.float32)


def parts(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(50, 3)), generator.normal(size=(50, 3))


def card_of(train, test):
    return data_card(DataSet("scaled", "made here", Series(train, FEATURES), Series(test, FEATURES)))


def test_scaling_over_train_and_test_together_is_a_defect():
    train, test = parts()
    both = np.concatenate([train, test])
    (defect,) = card_of(scaled(train, both), scaled(test, both)).defects
    late = sum((train.min(axis=0) > test.min(axis=0)) | (train.max(axis=0) < test.max(axis=0)))
    assert late > 0
    assert (
        f"all 3 features with more than two values reach exactly 0 and 1, {late} of them only with the test" in defect
    )


def test_constants_and_switches_do_not_hide_it():
    train, test = parts()
    both = np.concatenate([train, test])
    joint = [scaled(rows, both) for rows in (train, test)]
    for rows in joint:
        rows[:, 1], rows[:, 2] = 0.5, np.arange(50) % 2 * 7
    assert "all 1 features" in card_of(*joint).defects[0]


def test_scaling_over_the_training_rows_alone_is_none():
    train, test = parts()
    assert card_of(scaled(train, train), scaled(test, train)).defects == ()


@pytest.mark.parametrize(("factor", "shift"), [(2, 0), (2, -1)])
def test_a_range_other_than_0_to_1_is_none(factor, shift):
    train, test = parts()
    both = np.concatenate([train, test])
    first, second = (scaled(rows, both) * np.float32(factor) + np.float32(shift) for rows in (train, test))
    assert card_of(first, second).defects == ()


def test_neither_are_rows_as_they_are_nor_switches():
    train, test = (rows.astype(np.float32) for rows in parts())
    assert card_of(train, test).defects == ()
    assert card_of((train > 9).astype(np.float32), (test > 0).astype(np.float32)).defects == ()
    unit = np.clip(train, 0, 1)
    assert card_of(unit, unit).defects == ()  # training rows reach 0 and 1 themselves


# --- real files ---


def csv(tmp_path, at, **keys):
    path = tmp_path / "load.csv"
    pd.DataFrame({"at": at, "cpu": np.arange(len(at))}).to_csv(path, index=False)
    return data_card(CsvSpec(kind="csv", path=path, time="at", **keys).load(tmp_path))


def test_a_csv_tells_its_times_its_step_and_its_policy(tmp_path):
    card = csv(tmp_path, pd.date_range("2024-03-01", periods=10, freq="30s"), missing="ffill")
    assert (card.train.first_time, card.test.last_time) == ("2024-03-01T00:00:00", "2024-03-01T00:04:30")
    assert (card.step_seconds, card.missing) == (30.0, "ffill")


@pytest.mark.parametrize(("late", "step"), [(0.2, 30.0), (0.4, None), (30.0, None)])
def test_a_step_may_vary_by_a_hundredth(tmp_path, late, step):
    seconds = np.arange(10) * 30.0
    seconds[7:] += late
    assert csv(tmp_path, pd.Timestamp("2024-03-01") + pd.to_timedelta(seconds, unit="s")).step_seconds == step


def test_rows_of_one_time_have_no_step(tmp_path):
    assert csv(tmp_path, [pd.Timestamp("2024-03-01")] * 10, duplicates="keep").step_seconds is None


def test_a_csv_without_times_has_no_step(tmp_path):
    path = tmp_path / "load.csv"
    pd.DataFrame({"cpu": np.arange(10)}).to_csv(path, index=False)
    assert CsvSpec(kind="csv", path=path).load(tmp_path).step_seconds is None


def test_the_card_of_the_published_machine_1_3(smd_folder):
    data = SmdSpec(kind="smd", machine="1-3").load(smd_folder)
    start = time.process_time()
    card = data_card(data)
    assert time.process_time() - start < 1
    assert (card.train.rows, card.test.rows, card.step_seconds) == (23702, 23703, 60.0)
    assert (card.test.events.count, card.test.events.rows, card.root_causes) == (12, 817, 11)
    assert card.constant == ("f08", "f27", "f37", "f38")
    assert card.rows_in_train.repeated == card.windows_in_train.repeated == 0
    assert "over train and test together, it seems: all 34 features" in card.defects[0]
    assert len(card.defects) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "changing"), [("2-8", ("f17", "f18", "f29")), ("1-6", ("f37",)), ("3-7", ())])
def test_constant_columns_of_published_machines_that_move_in_test(smd_folder, machine, changing):
    card = data_card(SmdSpec(kind="smd", machine=machine).load(smd_folder))
    assert card.changing == changing
    assert "over train and test together" in card.defects[0]


def test_rows_of_sensors_are_found_where_they_were_copied_to():
    train, test = sensors(200, 3, seed=1), sensors(200, 3, seed=2)
    values = test.values.copy()
    values[100:150] = train.values[20:70]
    card = data_card(DataSet("copied", "made here", train, dataclasses.replace(test, values=values)))
    assert card.rows_in_train == Overlap(1, 200, 50, ((100, 20),))
    assert card.windows_in_train == Overlap(COPIED_ROWS, 200 - COPIED_ROWS + 1, 50 - COPIED_ROWS + 1, ((100, 20),))


def test_values_in_float64_are_hashed_and_judged_as_they_are():
    rows = Series(1.7e9 + np.arange(4.0)[:, None], ("x",))
    card = data_card(DataSet("offset", "memory", rows, rows))
    assert card.constant == ()
    assert card.rows_in_train.repeated == 4
    assert card.train.values_sha256 == sha256(rows.values[:, 0], "<d")
