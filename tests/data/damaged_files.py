"""Damaged files and what reading them must end in: an issue with its fix, or a documented repair."""

import io

import numpy as np
import pandas as pd

ROWS = 40
AT = pd.date_range("2024-03-01", periods=ROWS, freq="min")
LINES = [f"{at},{row / 4},{row % 3}" for row, at in enumerate(AT.strftime("%Y-%m-%d %H:%M:%S"))]
HEADER = "at,cpu,disk"
TIMED = {"time": "at"}
BERLIN = {"time": "at", "time_zone": "Europe/Berlin"}


def text(lines=LINES, header=HEADER):
    return "\n".join([header, *lines]) + "\n"


def lines(**changes):
    """Returns the lines, that of `rowN` replaced; `None` leaves it out."""
    found = list(LINES)
    for name, line in changes.items():
        found[int(name.removeprefix("row"))] = line
    return text([line for line in found if line is not None])


def cell(row, name, value):
    place = HEADER.split(",").index(name)
    cells = LINES[row].split(",")
    return lines(**{f"row{row}": ",".join([*cells[:place], value, *cells[place + 1 :]])})


def column(name, cells):
    place = HEADER.split(",").index(name)
    parts = [line.split(",") for line in LINES]
    return text(
        [",".join([*part[:place], str(each), *part[place + 1 :]]) for part, each in zip(parts, cells, strict=True)]
    )


def more(name, cells):
    return text([f"{line},{each}" for line, each in zip(LINES, cells, strict=True)], f"{HEADER},{name}")


def at(moments):
    return column("at", list(moments))


def shown(moments):
    return pd.DatetimeIndex(moments).strftime("%Y-%m-%d %H:%M:%S")


def parquet(**columns):
    buffer = io.BytesIO()
    plain = {"at": AT, "cpu": np.arange(ROWS) / 4, "disk": np.arange(ROWS) % 3}
    pd.DataFrame(plain | columns).to_parquet(buffer)
    return buffer.getvalue()


SPRING = pd.Timestamp("2024-03-31 01:00") + pd.to_timedelta(np.arange(ROWS) * 5, unit="min")
AUTUMN = pd.Timestamp("2024-10-27 01:00") + pd.to_timedelta(np.arange(ROWS) * 5, unit="min")
AUTUMN_CLOCK = AUTUMN.where(pd.Timestamp("2024-10-27 03:00") > AUTUMN, AUTUMN - pd.Timedelta(hours=1))

REFUSED = {
    # --- the file ---
    "an empty file": ("", {}, r"is not a csv table \(it is empty\); give a file with rows", False),
    "blank lines only": ("\n\n \n", {}, r"is not a csv table \(it is empty\)", False),
    "a header without rows": (HEADER + "\n", {}, "has no rows below its first line; give a file with rows", False),
    "NUL bytes": (
        lines(row5="2024-03-01 00:05:00,1.\0\0\0,2").encode(),
        {},
        r"is not a csv table \(it has NUL bytes, first in line 7\); write it again: it was damaged or cut off",
        False,
    ),
    "utf-16 without a mark": (
        text().encode("utf-16-le"),
        TIMED,
        "NUL bytes, first in line 1.; set data.encoding=utf-16-le",
        True,
    ),
    "another encoding": (
        more("\u00b0C", range(ROWS)).encode("latin-1"),
        TIMED,
        r"is not a csv table in utf-8 \(byte 0xb0 in line 1\); set data.encoding=cp1252, or write it again as utf-8",
        True,
    ),
    "an encoding that the mark denies": (
        text().encode("utf-8-sig"),
        {"encoding": "latin-1", **TIMED},
        "its byte order mark says utf-8-sig, but encoding is latin-1; set data.encoding=null",
        True,
    ),
    "a cell without end": ("at,cpu\n" + "x" * 200_000, {}, "is not a csv table .field larger than field limit", False),
    "an archive called csv": (
        b"PK\x03\x04\x00\x00",
        {},
        "is not a zip archive, or a damaged one .File is not a zip file.; copy or write it again",
        False,
    ),
    # --- lines ---
    "a truncated last line": (
        text(LINES).removesuffix(",0\n"),
        TIMED,
        "1 rows have another number of cells than the first line, which has 3, first row 39 with 2 .*; set data.bad_lines=drop",
        True,
    ),
    "a line cut off in the middle": (
        lines(row7="2024-03-01 00:07:00,1.7"),
        TIMED,
        "first row 7 with 2 .*set data.bad_lines=drop",
        True,
    ),
    "two lines run together": (
        lines(row7=LINES[7] + LINES[8]),
        TIMED,
        "first row 7 with 5 .*set data.bad_lines=drop",
        True,
    ),
    "text after the rows": (text([*LINES, "end of export"]), TIMED, r"first row 40 with 1 \('end of export'\)", True),
    "a title above the header": (
        "Export of 2024\n\n" + text(),
        TIMED,
        "its first line must name the columns, but is 'Export of 2024', and line 3 is the first with 3 cells.*set data.skip=2",
        True,
    ),
    "a separator at the end of each line": (
        text([f"{line}," for line in LINES]),
        TIMED,
        "has 3, first row 0 with 4",
        False,
    ),
    "a quote that is never closed": (
        lines(row7='2024-03-01 00:07:00,"1.75,1'),
        TIMED,
        "first row 7 with 2 .*; close the quote in that row, which takes in the rows below it",
        False,
    ),
    "a wrong separator": (
        text(),
        {"separator": ";"},
        r"has one column only, 'at,cpu,disk', at the separator ';'; set data.separator=','",
        False,
    ),
    "blanks between cells": (
        text().replace(" ", "T").replace(",", " "),
        {},
        "column 'at' holds times .*; set data.time=at",
        True,
    ),
    # --- header ---
    "no header": (
        "\n".join(line.split(",", 1)[1] for line in LINES),
        {},
        r"the first line must name the columns, but it reads like the rows below it \('0.0, 0'\); set data.header=false",
        True,
    ),
    "a name twice": (
        more("cpu", range(ROWS)),
        TIMED,
        r"columns must differ in name, but \[1, 3\] are all called 'cpu'; rename",
        False,
    ),
    "a column that is absent": (
        text(),
        {"time": "when"},
        r"has no column 'when'; it has \['at', 'cpu', 'disk'\]",
        False,
    ),
    "rows that are counted in a column without a name": (
        text([f"{row},{line}" for row, line in enumerate(LINES)], f",{HEADER}"),
        TIMED,
        r"column 'unnamed_0' counts the rows, it seems \(\[0, 1, 2\] ...\); .*set data.ignore=\[unnamed_0\]",
        True,
    ),
    "nothing but times": (
        text([line.split(",")[0] for line in LINES], "at"),
        TIMED,
        "must have a column besides time, label",
        False,
    ),
    # --- cells ---
    "a text in numbers": (
        cell(6, "cpu", "n/k"),
        TIMED,
        r"'cpu' must hold numbers, but has 1 other cells, first at row 6 \('n/k'\); set data.empty=\[n/k\] data.missing=ffill",
        True,
    ),
    "mixed types": (
        column("cpu", ["on", "off", 1.5, 2] * 10),
        TIMED,
        "has 20 other cells, first at row 0 .'on'.",
        True,
    ),
    "a column of texts": (
        more("host", [f"h{row}" for row in range(ROWS)]),
        TIMED,
        r"'host' must .*set data.ignore=\[host\]",
        True,
    ),
    "units behind numbers": (
        column("cpu", [f"{row} %" for row in range(ROWS)]),
        TIMED,
        "'cpu' must hold numbers, but has 40",
        True,
    ),
    "thousands marked": (cell(6, "cpu", '"1,234.5"'), TIMED, r"first at row 6 \('1,234.5'\)", True),
    "a decimal comma in quotes": (
        column("cpu", [f'"{row},5"' for row in range(ROWS)]),
        TIMED,
        "'cpu' must.*set data.decimal=','",
        True,
    ),
    "infinite values": (
        cell(6, "cpu", "Infinity"),
        TIMED,
        r"column 'cpu' has 1 infinite cells, first at row 6; set data.empty=\[inf\] data.missing=ffill",
        True,
    ),
    "a value too large": (
        cell(6, "cpu", "-1e39"),
        TIMED,
        r"column 'cpu' has 1 infinite cells, first at row 6; set data.empty=",
        True,
    ),
    "an empty cell": (
        cell(6, "cpu", ""),
        TIMED,
        r"column 'cpu' has 1 empty cells, first at row 6; set data.missing=ffill \(1 of 80 cells filled or left out, 1.2%\), or",
        True,
    ),
    "an empty line in a single column": (
        "\n".join(["cpu", *map(str, range(6)), "", *map(str, range(33))]),
        {},
        "column 'cpu' has 1 empty cells, first at row 6; set data.missing=ffill",
        True,
    ),
    "nan in a cell": (cell(6, "cpu", "NaN"), TIMED, "column 'cpu' has 1 empty cells, first at row 6", True),
    "a first cell that is empty": (cell(0, "cpu", ""), TIMED, "first at row 0; set data.missing=interpolate", True),
    "a column that is all empty": (
        column("cpu", [""] * ROWS),
        TIMED,
        r"has 40 empty cells, first at row 0; set data.ignore=\[cpu\]",
        True,
    ),
    "a long stretch without values": (
        column("cpu", [1] * 10 + [""] * 12 + [2] * 18),
        {"missing": "ffill", "missing_limit": 5, **TIMED},
        "has 12 empty cells one after the other, more than missing_limit 5, first at row 10; .*"
        r"or accept data.outages=break \(12 of 80 cells filled or left out, 15.0%\)",
        False,
    ),
    # --- labels ---
    "a label nobody named": (
        more("label", [0, 1] * 20),
        TIMED,
        r"column 'label' holds \[0, 1\] .*set data.label=label",
        True,
    ),
    "labels that are words": (
        more("label", ["BENIGN"] * 30 + ["Syn"] * 10),
        {"label": "label", **TIMED},
        r"label column 'label' must hold 0 or 1, but has 40 other cells, first at row 0 \('BENIGN'\); set data.normal=BENIGN",
        True,
    ),
    "labels of another kind": (
        more("label", [1] * 30 + [-1] * 10),
        {"label": "label", **TIMED},
        r"first at row 30 \(-1\)",
        True,
    ),
    "a label that is empty": (
        more("label", [0, ""] * 20),
        {"label": "label", **TIMED},
        "must hold 0 or 1, but has 20 other cells",
        False,
    ),
    "a normal word that does not occur": (
        more("label", ["ok"] * 30 + ["bad"] * 10),
        {"label": "label", "normal": "BENIGN", **TIMED},
        "has no cell 'BENIGN', so that no row is normal; .*set data.normal=ok",
        True,
    ),
    # --- times ---
    "times nobody named": (text(), {}, "column 'at' holds times.*set data.time=at", True),
    "a time that is none": (
        cell(5, "at", "soon"),
        TIMED,
        "time column 'at' must hold timestamps, but row 5 has 'soon'",
        False,
    ),
    "an empty time": (cell(5, "at", ""), TIMED, "time column 'at' must hold timestamps, but row 5 has nan", False),
    "a day that does not exist": (cell(5, "at", "2024-02-30"), TIMED, "but row 5 has '2024-02-30'", False),
    "times that step back": (
        lines(row5=LINES[6], row6=LINES[5]),
        TIMED,
        "times must ascend, but row 6 is before the row above; set data.unsorted=sort",
        True,
    ),
    "newest first": (
        text(LINES[::-1]),
        TIMED,
        "row 1 is before the row above, and so are 38 others; set data.unsorted=sort",
        True,
    ),
    "a row twice": (
        text([*LINES[:9], LINES[8], *LINES[9:]]),
        TIMED,
        "1 rows have the time of the row above, first row 9; set data.duplicates=first",
        True,
    ),
    "a time twice": (cell(9, "at", "2024-03-01 00:08:00"), TIMED, "first row 9; set data.duplicates=mean", True),
    "a clock set back, its zone not named": (
        at(shown(AUTUMN_CLOCK)),
        TIMED,
        "must ascend.*by one hour, as where a clock is set back; name the zone of the clock in data.time_zone",
        False,
    ),
    "times that the clock left out": (
        at(shown(SPRING)),
        BERLIN,
        r"12 times do not exist in Europe/Berlin, where the clock was set forward, .* row 12 .*set data.time_zone=UTC\+01:00",
        True,
    ),
    "day or month first": (
        at(AT.strftime("%d/%m/%Y %H:%M")),
        TIMED,
        "dates such as '01/03/2024 00:00' in row 0 can be read in two ways; say which it is: data.day_first=true or "
        "data.day_first=false",
        False,
    ),
    "some times with an offset": (
        cell(5, "at", "2024-03-01T00:05:00+01:00"),
        TIMED,
        "has 1 times with an offset from UTC and others without, first at row 0",
        False,
    ),
    "offsets and a zone": (
        at(AT.strftime("%Y-%m-%dT%H:%M:%SZ")),
        BERLIN,
        "says its own offset.*set data.time_zone=null",
        True,
    ),
    "numbers that are no dates": (
        at(range(ROWS)),
        TIMED,
        r"numbers around 19.5, which are no dates .*set data.time_format=s",
        True,
    ),
    "gaps that must not be": (
        lines(**{f"row{row}": None for row in range(10, 25)}),
        {"gaps": "error", **TIMED},
        r"1 gaps are longer than 10 steps of 60 s, first after row 9 \(960 s\); set data.gaps=break",
        True,
    ),
    "a gap of years to fill": (
        cell(39, "at", "2034-03-01"),
        {"gaps": "fill", "stray_times": "keep", **TIMED},
        "filling the gaps would add .* to 40 rows; set data.gaps=break",
        True,
    ),
    "filled gaps without a filling": (
        lines(row9=None),
        {"gaps": "fill", **TIMED},
        "has 1 empty cells, first at row 8.*accept data.missing=ffill",
        False,
    ),
    "no times to resample by": (
        text([line.split(",", 1)[1] for line in LINES], "cpu,disk"),
        {"resample": {"step": "5min"}},
        "without times cannot be resampled; set data.resample=null",
        True,
    ),
}

REFUSED_PARQUET = {
    "cut off": (parquet()[:200], {}, "is not a parquet table", False),
    "moments as features": (parquet(), {}, "column 'at' holds times.*set data.time=at", True),
    "lists in cells": (
        parquet(disk=[[1.0, 2.0]] * ROWS),
        TIMED,
        r"column 'disk' must hold numbers.*set data.ignore=\[disk\]",
        True,
    ),
    "texts": (parquet(disk=["a"] * ROWS), TIMED, "column 'disk' must hold numbers, but has 40 other cells", True),
    "nothing in a cell": (
        parquet(cpu=[None, *range(ROWS - 1)]),
        TIMED,
        "column 'cpu' has 1 empty cells, first at row 0",
        True,
    ),
}

EVERY = [(name, ".csv", *case) for name, case in REFUSED.items()] + [
    (name, ".parquet", *case) for name, case in REFUSED_PARQUET.items()
]


def filled_at(values, row):
    return [*values[:row], values[row - 1], *values[row + 1 :]]


CPU = [row / 4 for row in range(ROWS)]
REPAIRED = {
    "a byte order mark": (text().encode("utf-8-sig"), TIMED, None, CPU),
    "utf-16 with a mark": (text().encode("utf-16"), TIMED, None, CPU),
    "lines that end in CR LF": (text().replace("\n", "\r\n"), TIMED, None, CPU),
    "no end of the last line": (text().rstrip("\n"), TIMED, None, CPU),
    "blank lines": (text().replace("\n2024", "\n\n2024") + "\n\n", TIMED, None, CPU),
    "blank lines below one column": ("cpu\n" + "\n".join(map(str, CPU)) + "\n\n\n", {}, None, CPU),
    "blanks around cells": (text().replace(",", " , "), TIMED, None, CPU),
    "quoted cells": (text([",".join(f'"{cell}"' for cell in line.split(",")) for line in LINES]), TIMED, None, CPU),
    "a line end in a quoted cell": (more("note", ['"a\nb"'] * ROWS), {"ignore": ["note"], **TIMED}, None, CPU),
    "semicolons": (text().replace(",", ";"), TIMED, None, CPU),
    "tabs": (text().replace(",", "\t"), TIMED, None, CPU),
    "bars": (text().replace(",", "|"), TIMED, None, CPU),
    "decimal commas": (text().replace(",", ";").replace(".", ","), TIMED, "decimal comma", CPU),
    "lines above the table": ("# a, b\n\n# c\n" + text(), {"skip": 3, **TIMED}, None, CPU),
    "no header": ("\n".join(line.split(",", 1)[1] for line in LINES), {"header": False}, None, CPU),
    "a constant column": (column("disk", [1] * ROWS), TIMED, None, CPU),
    "latin-1": (more("\u00b0C", range(ROWS)).encode("latin-1"), {"encoding": "latin-1", **TIMED}, None, CPU),
    "bad lines": (
        lines(row7="x"),
        {"bad_lines": "drop", **TIMED},
        "1 rows have another number of cells.*left out",
        CPU[:7] + CPU[8:],
    ),
    "an empty cell": (
        cell(6, "cpu", ""),
        {"missing": "ffill", **TIMED},
        "1 empty cells, first at row 6; filled by ffill, at most 1 one",
        filled_at(CPU, 6),
    ),
    "a line over it": (cell(6, "cpu", ""), {"missing": "interpolate", **TIMED}, "filled by interpolate", CPU),
    "a word for nothing": (
        cell(6, "cpu", "-999"),
        {"missing": "ffill", "empty": ["-999"], **TIMED},
        "1 empty cells",
        filled_at(CPU, 6),
    ),
    "a column with an empty cell": (
        cell(6, "disk", ""),
        {"missing": "drop_column", **TIMED},
        "column 'disk' has 1 .*these columns were left out",
        CPU,
    ),
    "rows out of order": (
        text(LINES[::-1]),
        {"unsorted": "sort", **TIMED},
        "39 rows were before the row above, first row 1; rows were sorted",
        CPU,
    ),
    "the first of a time": (
        text([*LINES, LINES[39].replace("9.75", "8")]),
        {"duplicates": "first", **TIMED},
        "1 rows have the time of the row above, first row 40; of .* the first was taken",
        CPU,
    ),
    "the last of a time": (
        text([*LINES, LINES[39].replace("9.75", "8")]),
        {"duplicates": "last", **TIMED},
        "the last was taken",
        [*CPU[:-1], 8],
    ),
    "the mean of a time": (
        text([*LINES, LINES[39].replace("9.75", "8")]),
        {"duplicates": "mean", **TIMED},
        "the mean was taken",
        [*CPU[:-1], 8.875],
    ),
    "all of a time": (text([*LINES, LINES[39]]), {"duplicates": "keep", **TIMED}, None, [*CPU, CPU[-1]]),
    "seconds since 1970": (at(range(1_700_000_000, 1_700_000_000 + ROWS)), TIMED, "read as s since 1970", CPU),
    "a row that is missing": (
        lines(row9=None),
        {"gaps": "fill", "missing": "interpolate", **TIMED},
        "(?:1 empty rows were inserted in 1 gaps|filled by interpolate)",
        CPU,
    ),
    "rows of five minutes": (text(), {"resample": {"step": "5min", "how": "max"}, **TIMED}, None, CPU[4::5]),
    "a gap": (
        lines(**{f"row{row}": None for row in range(10, 25)}),
        TIMED,
        r"1 gaps are longer than 10 steps of 60 s, first after row 9 .*a new segment",
        CPU[:10] + CPU[25:],
    ),
    "a clock set back": (
        at(shown(AUTUMN_CLOCK)),
        BERLIN,
        "24 times occur twice in Europe/Berlin.* first at row 12; 12 of them, after a step back, are the second",
        CPU,
    ),
    "a column without a name": (
        text([f"7,{line}" for line in LINES], f",{HEADER}"),
        TIMED,
        "columns .0. have no name and are called unnamed_0",
        None,
    ),
}
