"""Bodies of requests: from bytes to rows or a description, every fault a refusal that names it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tsad.data.io.row_reader import read_csv_text
from tsad.data.io.values import to_values
from tsad.errors import DataError, shown
from tsad.series import Series
from tsad.serving.errors import RequestError
from tsad.spec import SpecT, parse

JSON, CSV = "application/json", "text/csv"
MOST_COLUMNS = 10_000
"""Largest number of columns of a JSON body."""
TIME_COLUMNS = ("time", "timestamp")
"""A CSV column of this name, in any case, that is no feature holds the times."""

_JSON: TypeAdapter[Any] = TypeAdapter(Any)

ROWS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["columns", "rows"],
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": ["number", "string"]}}},
        "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
    },
    "additionalProperties": False,
}


def request_body(schemas: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Returns how OpenAPI describes a body, from its schema by media type."""
    content = {media: {"schema": schema} for media, schema in schemas.items()}
    return {"requestBody": {"required": required, "content": content}}


@dataclass(frozen=True, eq=False)
class Body:
    """Content of a request.

    Attributes:
        content: Bytes of the body.
        media: `application/json` or `text/csv`.
    """

    content: bytes
    media: str


@dataclass(frozen=True, eq=False)
class Rows:
    """A table that came.

    Attributes:
        table: Columns with names of their own, not checked otherwise.
        times: As they were written, one per row; None if there are none.
        read: The rows as a series, if they were read by a saved reading, with boundaries at gaps.
    """

    table: pd.DataFrame
    times: list[str] | None = None
    read: Series | None = None

    def series(self, features: Sequence[str]) -> Series:
        """Returns the rows of these features.

        Raises:
            DataError: naming column and row of a cell that is no finite number.
            RequestError: if a time is none.
        """
        if self.read is not None:
            return self.read
        times = None if self.times is None else _read_times(self.times)
        return Series(to_values(self.table, features, "body"), tuple(features), times=times)

    def ignored(self, features: Sequence[str]) -> list[str]:
        """Returns the columns that are no features."""
        return [str(name) for name in self.table.columns if name not in features]


def ascending(series: Series, times: Sequence[str] | None) -> Series:
    """Returns the series; raises `RequestError` if its times, written as they came, do not ascend."""
    if series.times is None or times is None:
        return series
    back = np.diff(series.times) < np.timedelta64(0)
    if back.any():
        row = int(back.argmax()) + 1
        raise RequestError(
            400, f"times must ascend, but that of row {row} ({shown(times[row])}) is before the one above"
        )
    return series


def media_type(header: str | None, allowed: Sequence[str]) -> str:
    """Returns the media type that a Content-Type header names; raises `RequestError` if it is none of the allowed ones."""
    kind, *parameters = [part.strip() for part in (header or "").split(";")]
    if kind.lower() not in allowed:
        raise RequestError(415, f"Content-Type must be {' or '.join(allowed)}, but is {header!r}")
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip().lower() != "charset" or value.strip(' "').lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise RequestError(415, f"Content-Type may say charset=utf-8 beside {kind}, but says {parameter!r}")
    return kind.lower()


def read_json(content: bytes) -> Any:
    """Returns the value of a JSON text; raises `RequestError` if it is none, or holds NaN, infinity or a key twice."""
    try:  # two to four times as fast, but silent about a key that comes twice and about NaN, and short about faults
        value = _JSON.validate_json(content)
        if content.count(b":") == _keys(value) and not any(name in content for name in (b"NaN", b"Infinity")):
            return value
    except ValueError:
        pass
    try:
        return json.loads(_text(content), parse_constant=_no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise RequestError(400, f"body must be JSON, but {error}") from None
    except RecursionError:
        raise RequestError(
            400, "body must not nest lists and mappings as deeply as it does; send rows as [[...], ...]"
        ) from None
    except ValueError as error:  # a whole number of more digits than Python reads
        raise RequestError(400, f"body must hold numbers that fit 64 bits, but {error}") from None


def _keys(value: Any) -> int:
    """Returns how many keys mappings in mappings have; each of them has a colon of its own in the text."""
    return len(value) + sum(map(_keys, value.values())) if isinstance(value, dict) else 0


def read_mapping(content: bytes) -> dict[str, Any]:
    """Returns the mapping of a JSON text; nothing if the body is empty."""
    values = read_json(content) if content.strip() else {}
    if not isinstance(values, dict):
        raise RequestError(400, f"body must be a mapping of names to values, but is {shown(values)}")
    return values


def read_spec(kind: type[SpecT], content: bytes, most: int = 10_000) -> SpecT:
    """Returns the spec that a JSON body describes.

    Raises:
        SpecError: naming every mistake by path and value.
        RequestError: if the body is no mapping, or has more than `most` bytes, which might hold endlessly many mistakes.
    """
    if len(content) > most:
        raise RequestError(413, f"this body must not exceed {most} bytes, but has {len(content)}")
    return parse(kind, read_mapping(content), "body")


def read_rows(body: Body, features: Sequence[str], most: int, text: str | None = None) -> Rows:
    """Returns the table of a CSV or JSON body.

    Args:
        body: CSV with a header row, or `{"columns": [...], "rows": [[...]], "times": [...]}`, times optional.
        features: Columns that no time column may take the place of.
        most: Rows.
        text: Column whose cells stay texts as they are written in a CSV; None for none.
    """
    rows = _csv_rows(body.content, features, text) if body.media == CSV else _json_rows(read_mapping(body.content))
    return few(rows, most)


def read_split(content: bytes) -> Rows | None:
    """Returns the rows of `{"dataframe_split": {"columns": [...], "data": [[...]]}}` if every cell is a number.

    None if one is none, if all are whole, or if the body is any other JSON; raises `RequestError` if it is no JSON or no table.
    """
    return split_rows(read_json(content))


def split_rows(value: Any) -> Rows | None:
    """Returns the rows of a parsed body, as `read_split` does."""
    match value:
        case {"dataframe_split": {"columns": columns, "data": data, **other}, **more} if not (other or more):
            rows = _json_rows({"columns": columns, "rows": data})
            return rows if rows.table.to_numpy().dtype == np.float64 else None
    return None


def read_push(content: bytes, features: Sequence[str], most: int) -> tuple[Series, int | None]:
    """Returns the rows of `{"rows": [[...]], "times": [...], "after": n}`, and `after`; times and `after` are optional."""
    values = read_mapping(content)
    unknown = values.keys() - {"rows", "times", "after"}
    if unknown or "rows" not in values:
        raise RequestError(400, f"body must have rows, and may have times and after, but has {shown(sorted(values))}")
    after = values.get("after")
    if after is not None and (type(after) is not int or after < 0):
        raise RequestError(400, f"after must be a number of rows, 0 or more, but is {shown(after)}")
    rows = few(_table(features, values["rows"], values.get("times")), most)
    return rows.series(features), after


def _table(columns: Sequence[str], rows: Any, times: Any = None) -> Rows:
    """Returns the table of lists that came as JSON; raises `RequestError` if they are no table."""
    if not isinstance(rows, list):
        raise RequestError(400, f"rows must be a list of rows, but is {shown(rows)}")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            what = f"{len(row)} values" if isinstance(row, list) else shown(row)
            raise RequestError(400, f"each row must be a list of {len(columns)} values, but row {number} has {what}")
    if times is not None:
        _check_times(times, len(rows))
    return Rows(pd.DataFrame(_array(rows), columns=list(columns)), times)


def _array(rows: list[list[Any]]) -> Any:
    """Returns the rows as one array of float64 if all cells are numbers: pandas takes that a hundred times as fast."""
    try:
        value = np.array(rows)
    except ValueError:  # a list in a cell
        return rows
    return value if value.dtype == np.float64 and value.ndim == 2 else rows


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"body must be UTF-8, but byte {error.start} is not") from None


def _json_rows(values: Mapping[str, Any]) -> Rows:
    unknown = values.keys() - {"columns", "rows", "times"}
    if unknown or not {"columns", "rows"} <= values.keys():
        raise RequestError(400, f"body must have columns and rows, and may have times, but has {shown(sorted(values))}")
    columns = values["columns"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RequestError(400, f"columns must be a list of names, but is {shown(columns)}")
    if len(columns) > MOST_COLUMNS:
        raise RequestError(
            413, f"a body may have at most {MOST_COLUMNS} columns, but has {len(columns)}; leave some out"
        )
    _check_unique(columns)
    return _table(columns, values["rows"], values.get("times"))


def _csv_rows(content: bytes, features: Sequence[str], text: str | None) -> Rows:
    raw = TIME_COLUMNS if text is None else (*TIME_COLUMNS, text.lower())
    try:
        table = read_csv_text(_text(content), "body", raw=raw)
    except DataError as error:
        raise RequestError(
            400, f"body must be CSV with a header row, but {str(error).removeprefix('body: ')}"
        ) from None
    named = [name for name in table.columns if name.lower() in TIME_COLUMNS and name not in features]
    if not named:
        return Rows(table)
    return Rows(table.drop(columns=named[0]), table[named[0]].tolist())


def few(rows: Rows, most: int) -> Rows:
    """Returns the rows; raises `RequestError` if they are more than `most`."""
    if len(rows.table) > most:
        raise RequestError(
            413, f"a request may have at most {most} rows, but has {len(rows.table)}; send them in parts"
        )
    return rows


def _check_unique(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RequestError(
            400, f"each column needs a name of its own, but {shown(twice[0])} comes {names.count(twice[0])} times"
        )


def _check_times(times: Any, rows: int) -> None:
    if not isinstance(times, list) or not all(isinstance(time, str) for time in times):
        raise RequestError(400, f"times must be a list of texts like 2026-01-31T12:00:00, but is {shown(times)}")
    if len(times) != rows:
        raise RequestError(400, f"times must be as many as the {rows} rows, but are {len(times)}")


def _no_constant(name: str) -> None:
    raise RequestError(400, f"body must be JSON, which has no {name}; leave such rows out")


def _unique(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise RequestError(400, f"each key of a mapping may come once, but {shown(twice)} comes again")
    return values


def _read_times(times: Sequence[str]) -> NDArray[np.datetime64]:
    """Returns the times of ISO 8601 texts, those with an offset as UTC."""
    value = pd.to_datetime(pd.Series(times, dtype=object), errors="coerce", utc=True, format="ISO8601")
    wrong = value.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise RequestError(400, f"times must be like 2026-01-31T12:00:00, but that of row {row} is {shown(times[row])}")
    return value.dt.tz_localize(None).to_numpy()
