"""What becomes of a damaged file: one clear problem with its way out, or the documented repair, never a traceback."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.damaged_files import (
    AUTUMN_CLOCK,
    BERLIN,
    EVERY,
    LINES,
    REPAIRED,
    ROWS,
    TIMED,
    at,
    cell,
    lines,
    more,
    shown,
    text,
)
from tsad.data.sets.csv import CsvSpec
from tsad.errors import DataError
from tsad.spec import parse
from tsad.workflows.check import _fixes


def read(folder, content, options, suffix=".csv"):
    """Returns the spec of a file with this content, and what reading it comes to."""
    path = folder / f"load{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    spec = parse(CsvSpec, {"kind": "csv", "path": str(path), **options}, "data")
    return spec, spec.inspect()


def test_there_are_forty_kinds_of_damage_at_least():
    assert len(EVERY) > 60


@pytest.mark.parametrize(
    ("suffix", "content", "options", "message"), [case[1:5] for case in EVERY], ids=[case[0] for case in EVERY]
)
def test_a_damaged_file_is_refused_with_file_place_and_way_out(tmp_path, suffix, content, options, message):
    spec, found = read(tmp_path, content, options, suffix)
    assert found.data is None
    with pytest.raises(DataError, match=rf"load\{suffix}: .*{message}") as raised:
        spec.load(tmp_path)
    assert "; " in str(raised.value)
    assert "\n" not in str(raised.value)


MENDED = [case for case in EVERY if case[5]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "content", "options"), [case[1:4] for case in MENDED], ids=[case[0] for case in MENDED]
)
def test_the_named_settings_mend_it(tmp_path, suffix, content, options):
    spec, _ = read(tmp_path, content, options, suffix)
    values = {"kind": "csv", "path": str(spec.path), **options}
    mended = parse(CsvSpec, values | _fixes({"data": values})[0], "data").load(tmp_path)
    assert len(mended.train) >= 10
    assert len(mended.test) >= 10


@pytest.mark.parametrize(("content", "options", "said", "cpu"), list(REPAIRED.values()), ids=list(REPAIRED))
def test_a_repair_is_made_as_documented_and_said(tmp_path, caplog, content, options, said, cpu):
    spec, found = read(tmp_path, content, options)
    assert not found.issues
    data = spec.load(tmp_path)
    if cpu is not None:
        place = data.train.features.index("cpu" if options.get("header", True) else "f00")
        np.testing.assert_allclose(np.concatenate([data.train.values, data.test.values])[:, place], cpu, rtol=1e-6)
    assert (len(data.defects) > 0) == (said is not None)
    if said is not None:
        assert pd.Series(data.defects).str.contains(rf"load\.csv: .*{said}").all()
        assert data.defects[0] in caplog.text


def test_all_problems_are_found_at_once(tmp_path):
    content = more("host", ["a"] * ROWS).replace("00:05:00,1.25", "00:05:00,").replace("00:07:00", "00:06:00")
    _, found = read(tmp_path, content, TIMED)
    texts = [issue.text for issue in found.issues]
    assert len(texts) == 3
    for message in (
        "'host' must hold numbers",
        "have the time of the row above",
        "'cpu' has 1 empty cells, first at row 5",
    ):
        assert any(message in each for each in texts)


def test_the_error_says_how_many_more_there_are(tmp_path):
    spec, _ = read(tmp_path, cell(6, "cpu", "").replace("00:08:00", "00:07:00"), TIMED)
    with pytest.raises(DataError, match=r"1 more issues: tsad data check .*load\.csv\)"):
        spec.load(tmp_path)


def test_ten_thousand_columns_are_a_table_like_any_other(tmp_path):
    names = ",".join(f"s{place}" for place in range(10_000))
    content = "\n".join([names, *(",".join([str(row)] * 10_000) for row in range(4))])
    _, found = read(tmp_path, content, {})
    assert found.data.train.values.shape == (2, 10_000)
    assert found.data.train.features[-1] == "s9999"


def test_one_row_cannot_be_cut_in_two(tmp_path):
    spec, _ = read(tmp_path, text(LINES[:1]), TIMED)
    with pytest.raises(DataError, match=r"load\.csv: must hold training rows and test rows, but has 1"):
        spec.load(tmp_path)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    place=st.integers(0, len(text()) - 1),
    length=st.integers(0, 30),
    put=st.binary(max_size=12)
    | st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b";;;", b"\xff\xfe", b"'", b"1e999"]),
)
def test_any_damage_ends_in_rows_or_in_a_problem(tmp_path, place, length, put):
    content = text().encode()
    spec, found = read(tmp_path, content[:place] + put + content[place + length :], TIMED)
    assert (found.data is None) == bool(found.issues)
    assert all(str(issue).startswith(str(spec.path)) for issue in found.issues)


def test_rows_are_counted_as_they_stand_in_the_file(tmp_path):
    content = lines(row3="x", row7="2024-03-01 00:07:00,,1", row20=None)
    _, found = read(tmp_path, content, {"bad_lines": "drop", **TIMED})
    assert [issue.text for issue in found.issues] == ["column 'cpu' has 1 empty cells, first at row 7"]


def test_rows_are_counted_below_the_header_wherever_that_is(tmp_path):
    _, found = read(tmp_path, "title\n\n" + lines(row3="x", row7="2024-03-01 00:07:00,,1"), {"skip": 2, **TIMED})
    first, second = (issue.text for issue in found.issues)
    assert "first row 3 with 1" in first
    assert second == "column 'cpu' has 1 empty cells, first at row 7"


def test_the_zone_of_times_makes_no_difference_to_their_order(tmp_path):
    spec, found = read(tmp_path, at(shown(AUTUMN_CLOCK)), BERLIN)
    times = np.concatenate([found.data.train.times, found.data.test.times])
    assert {after - before for before, after in pairwise(times.tolist())} == {300 * 10**9}
    assert times[0] == np.datetime64("2024-10-26T23:00")
    assert Path(found.data.source) == spec.path
