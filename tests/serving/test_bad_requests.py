"""Requests that nobody should send: each gets the right 4xx, which names the fault and shows no trace; the service stays well."""

import json
import re
import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.serving.services import Client, saved_detector, service
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.service_parts import Limits
from tsad.serving.stream_sessions import StreamLimits

MAX_BYTES, MAX_ROWS = 200_000, 300
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
FEATURES = [f"s{place}" for place in range(6)]
GOOD = [[0.1 * row + place for place in range(6)] for row in range(20)]
NOBODY = "0" * 32


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    saved_detector(folder / "detector")
    limits = Limits(rows=MAX_ROWS, streams=StreamLimits(streams=40))
    with service(folder / "detector", folder / "state", SecurityPolicy(max_bytes=MAX_BYTES), limits) as client:
        yield client


@dataclass(frozen=True)
class Bad:
    """A request, and what is to be said about it."""

    name: str
    body: Any
    says: str
    status: int | tuple[int, ...] = 400
    headers: dict[str, str] = field(default_factory=dict)


def csv(text, **headers):
    return {"body": text, "headers": {"Content_Type": CSV, **headers}}


def raw(text, media=JSON):
    return {"body": text, "headers": {"Content_Type": media}}


def changed(place, value, row=7):
    return [
        [value if (at, column) == (row, place) else cell for column, cell in enumerate(cells)]
        for at, cells in enumerate(GOOD)
    ]


def refused(client: Client, method: str, path: str, bad: Bad) -> None:
    answer = client.ask(method, path, bad.body, **bad.headers)
    assert answer.status in (bad.status if isinstance(bad.status, tuple) else (bad.status,)), answer.content[:500]
    assert answer.headers["Content-Type"].startswith(JSON)
    found = answer.json
    assert set(found) - {"rows_total"} == {"error_code", "message"}
    assert re.search(bad.says, found["message"], re.DOTALL), found["message"]
    assert not re.search(r"Traceback|File \"|line \d+, in ", answer.content.decode())
    assert len(answer.content) < 1500
    assert client.get("/ping").status == 200


def each(cases):
    return pytest.mark.parametrize("bad", cases, ids=lambda bad: bad.name)


# --- bodies that are no JSON, or too much of it: the same for every endpoint that takes JSON ---

BODIES = [
    Bad("half a mapping", **raw('{"rows": ['), says="must be JSON, but .*char"),
    Bad("no JSON at all", **raw("rows"), says="must be JSON"),
    Bad("two values", **raw("{} {}"), says="must be JSON, but Extra data"),
    Bad("a list", **raw("[1, 2]"), says=r"must be a mapping .*, but is \[1, 2\]"),
    Bad("null", **raw("null"), says="must be a mapping .*, but is None"),
    Bad("a number", **raw("7"), says="must be a mapping .*, but is 7"),
    Bad("a text", **raw('"rows"'), says="must be a mapping .*, but is 'rows'"),
    Bad("deep lists", **raw("[" * 4_000), says="must not nest"),
    Bad("deep lists that end", **raw('{"rows": ' + "[" * 4_000 + "]" * 4_000 + "}"), says="must not nest"),
    Bad("deep mappings", **raw('{"a":' * 1_900), says="must not nest"),
    Bad("no UTF-8", **raw(b'{"rows": "\xff\xfe"}'), says="must be UTF-8, but byte 10 is not"),
    Bad("UTF-16", **raw('{"rows": []}'.encode("utf-16")), says="must be UTF-8"),
    Bad("NaN", **raw('{"rows": [[NaN]]}'), says="must be JSON, which has no NaN"),
    Bad("infinity", **raw('{"rows": [[-Infinity]]}'), says="must be JSON, which has no -Infinity"),
    Bad("a key twice", **raw('{"rows": [], "rows": []}'), says="may come once, but 'rows' comes again"),
    Bad("too many digits", **raw('{"rows": [[' + "9" * 5000 + "]]}"), says="must hold numbers"),
    Bad("a control character", **raw('{"rows\x00": 1}'), says="must be JSON"),
    Bad(
        "thousands of unknown keys",
        {f"bogus{place}": 1 for place in range(9000)},
        says="bogus|must not exceed",
        status=(400, 413),
    ),
    Bad("an unknown key", {"bogus": 1}, says="bogus"),
    Bad("no content type", b"{}", says="Content-Type must be .*, but is None", status=415),
    Bad(
        "another content type",
        **raw("{}", "text/plain"),
        says="Content-Type must be .*, but is 'text/plain'",
        status=415,
    ),
    Bad("a form", **raw("a=1", "application/x-www-form-urlencoded"), says="Content-Type must be", status=415),
    Bad("another charset", **raw("{}", f"{JSON}; charset=latin-1"), says="may say charset=utf-8 .*latin-1", status=415),
    Bad("an odd parameter", **raw("{}", f"{JSON}; profile=x"), says="may say charset=utf-8 .*profile=x", status=415),
    Bad(
        "compressed",
        b"\x1f\x8b",
        says="must not be compressed, but Content-Encoding is 'gzip'",
        status=415,
        headers={"Content_Type": JSON, "Content_Encoding": "gzip"},
    ),
    Bad(
        "too large",
        **raw(" " * (MAX_BYTES + 1)),
        says=rf"exceed {MAX_BYTES} bytes, but has {MAX_BYTES + 1}",
        status=413,
    ),
]


@each(BODIES)
@pytest.mark.parametrize(
    "path", ["/api/score", "/api/streams", "/api/streams/ID/rows", "/train_predict", "/api/searches"]
)
def test_a_bad_body_is_refused_by_every_endpoint(client, stream, path, bad):
    refused(client, "POST", path.replace("ID", stream), bad)


@pytest.fixture(scope="module")
def stream(client):
    return client.post("/api/streams", {}).json["id"]


# --- /api/score ---


def scored(name, says, rows=GOOD, columns=FEATURES, status=400, **more):
    return Bad(name, {"columns": columns, "rows": rows, **more}, says, status)


LINES = [",".join(FEATURES), *(",".join(map(str, row)) for row in GOOD)]

SCORE = [
    Bad("no columns", {"rows": GOOD}, says=r"must have columns and rows, .*\['rows'\]"),
    Bad("no rows", {"columns": FEATURES}, says=r"must have columns and rows, .*\['columns'\]"),
    scored("columns that are no list", "columns must be a list of names, but is 's0'", columns="s0"),
    scored("columns that are numbers", "columns must be a list of names, but is", columns=list(range(6))),
    scored("a column missing", "column 's5' is missing", columns=[*FEATURES[:5], "other"]),
    scored("columns in other letters", "column 's0' is missing", columns=[name.upper() for name in FEATURES]),
    scored("names beyond ASCII", "column 's0' is missing", columns=["é0", "сервер", "温度", "🔥", "\u202es4", "s5"]),
    scored("a column twice", "'s0' comes 2 times", columns=["s0", "s0", *FEATURES[2:]]),
    scored("rows that are no list", "rows must be a list of rows, but is 7", rows=7),
    scored("rows that are numbers", "each row must be a list of 6 values, but row 0 has 1.5", rows=[1.5, 2.5]),
    scored("rows that are mappings", "each row must be a list of 6 values, but row 0 has {", rows=[{"s0": 1}]),
    scored("a row too short", "each row must be a list of 6 values, but row 20 has 5 values", rows=[*GOOD, [1] * 5]),
    scored("a row too long", "each row must be a list of 6 values, but row 0 has 7 values", rows=[[1] * 7]),
    scored("no row at all", "at least 4 consecutive rows .* but got 0", rows=[]),
    scored("too few rows", "at least 4 consecutive rows .* but got 3; send more rows", rows=GOOD[:3]),
    scored(
        "too many rows", f"at most {MAX_ROWS} rows, but has {MAX_ROWS + 1}", rows=GOOD[:1] * (MAX_ROWS + 1), status=413
    ),
    scored("null", "column 's2' has 1 empty cells, first at row 7", rows=changed(2, None)),
    scored("text", "column 's2' must hold numbers, .* first at row 7 .'high'", rows=changed(2, "high")),
    scored("an empty text", "column 's2' has 1 empty cells, first at row 7", rows=changed(2, "")),
    scored("a list in a cell", "column 's2' must hold numbers, .* first at row 7", rows=changed(2, [1.0])),
    scored("a mapping in a cell", "column 's2' must hold numbers, .* first at row 7", rows=changed(2, {"a": 1})),
    scored("a number beyond float32", "column 's2' has 1 infinite cells, first at row 7", rows=changed(2, 1e39)),
    scored("a number beyond float64", "column 's2' has 1 infinite cells, first at row 7", rows=changed(2, 10**400)),
    Bad(
        "infinity by overflow",
        **raw(json.dumps({"columns": FEATURES, "rows": changed(2, 7e7)}).replace("70000000.0", "1e999")),
        says="column 's2' has 1 infinite",
    ),
    scored("times that are no list", "times must be a list of texts", times="2026-01-01"),
    scored("times that are numbers", "times must be a list of texts", times=list(range(20))),
    scored("negative times", "times must be a list of texts", times=[-1.0 * place for place in range(20)]),
    scored("too few times", "as many as the 20 rows, but are 1", times=["2026-01-01"]),
    scored("times that are none", "that of row 0 is 'soon'", times=["soon"] * 20),
    scored("times of no year", "that of row 0 is '0000-", times=["0000-00-00"] * 20),
    scored(
        "times that go back", "must ascend, but that of row 1", times=[f"2026-01-{31 - day:02d}" for day in range(20)]
    ),
    Bad("an empty CSV", **csv(""), says="must be CSV with a header row"),
    Bad("a CSV of blanks", **csv("\n\n  \n"), says="must be CSV|column 's0' is missing"),
    Bad("a CSV without header", **csv("\n".join(LINES[1:])), says="column 's0' is missing"),
    Bad("a CSV with a column twice", **csv("s0,s0\n1,2\n"), says="two are called 's0'"),
    Bad("a CSV with other separators", **csv("\n".join(LINES).replace(",", ";")), says="column 's0' is missing"),
    Bad("a CSV with a longer row", **csv("\n".join([*LINES, "1,2,3,4,5,6,7"])), says="must be CSV .*line 22"),
    Bad(
        "a CSV with a shorter row",
        **csv("\n".join([*LINES, "1,2"])),
        says="every line must have 6 cells, as the header has, but line 22 has 2",
    ),
    Bad(
        "a CSV with text",
        **csv("\n".join([*LINES, "1,2,x,4,5,6"])),
        says="column 's2' must hold numbers, .*row 20 .'x'",
    ),
    Bad("a CSV with NaN", **csv("\n".join([*LINES, "1,2,NaN,4,5,6"])), says="column 's2' has 1 empty cells"),
    Bad("a CSV with infinity", **csv("\n".join([*LINES, "1,2,inf,4,5,6"])), says="column 's2' has 1 infinite cells"),
    Bad("a CSV with an open quote", **csv("\n".join([*LINES, '"1,2'])), says="must be CSV|column"),
    Bad("a CSV of zeros", **csv("\x00" * 50), says="must be CSV|column 's0' is missing"),
    Bad("a CSV in another code", **csv(b"s0\n\xe4\n"), says="must be UTF-8, but byte 3 is not"),
    Bad(
        "a CSV with bad times",
        **csv("\n".join(["time,s0,s1,s2,s3,s4,s5", "x,1,2,3,4,5,6"])),
        says="that of row 0 is 'x'",
    ),
    Bad("Parquet", **raw(b"PAR1", PARQUET), says="Content-Type must be", status=415),
]


@each(SCORE)
def test_rows_that_cannot_be_scored_are_refused(client, bad):
    refused(client, "POST", "/api/score", bad)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("threshold=high", "threshold: .*but got 'high'"),
        ("threshold=nan", "threshold: .*finite.* but got 'nan'"),
        ("threshold=-inf", "threshold: .*finite.* but got '-inf'"),
        ("threshold=", "threshold: .*but got ''"),
        ("top=-1", "top: .*greater than or equal to 0, but got '-1'"),
        ("top=101", "top: .*less than or equal to 100, but got '101'"),
        ("top=2.5", "top: .*but got '2.5'"),
        ("top=" + "9" * 5000, "top: "),
        ("source=", "source must be a name .* but got ''"),
        ("source=a/b", "source must be a name .* but got 'a/b'"),
        ("source=" + "a" * 65, "source must be a name"),
        ("source=%E2%80%AE", "source must be a name"),
        ("treshold=1", "query parameters are threshold, top, source, entity here, but got 'treshold'"),
        ("__proto__[x]=1", "query parameters are threshold, top, source, entity here"),
    ],
)
def test_a_query_that_says_nothing_of_use_is_refused(client, query, says):
    refused(client, "POST", f"/api/score?{query}", Bad("query", {"columns": FEATURES, "rows": GOOD}, says))


# --- /invocations ---


def split(rows=GOOD, columns=FEATURES, **more):
    return {"dataframe_split": {"columns": columns, "data": rows}, **more}


INVOCATIONS = [
    Bad("no JSON", **raw("{"), says="valid JSON"),
    Bad("a list", **raw("[1]"), says="JSON dictionary"),
    Bad("null", **raw("null"), says="JSON dictionary"),
    Bad("deep lists", **raw("[" * 50_000), says="recursion"),
    Bad("no UTF-8", **raw(b'{"a": "\xff"}'), says="valid JSON|utf-8"),
    Bad("none of MLflow's fields", {"rows": GOOD}, says="exactly one of the input fields"),
    Bad("two of them", split(instances=[1]), says="exactly one of the input fields"),
    Bad("a split that is a list", {"dataframe_split": [1]}, says="must be a dictionary"),
    Bad("a split without data", {"dataframe_split": {"columns": FEATURES}}, says="."),
    Bad("records that are numbers", {"dataframe_records": [1, 2]}, says="column 's0' is missing"),
    Bad("records that are a text", {"dataframe_records": "x"}, says="must be a list"),
    Bad("instances of no use", {"instances": {"a": [1]}}, says="column 's0' is missing"),
    Bad("inputs that are a text", {"inputs": "x"}, says=r"an array must be \(n, 6\)"),
    Bad("a column missing", split(columns=[*FEATURES[:5], "x"]), says="column 's5' is missing"),
    Bad("a column twice", split(columns=["s0", *FEATURES[:5]]), says="column 's0' is there 2 times"),
    Bad("a row too short", split(rows=[[1, 2]]), says="."),
    Bad("text", split(rows=changed(2, "high")), says="s2|convert"),
    Bad("null", split(rows=changed(2, None)), says="column 's2' has 1 empty cells, first at row 7"),
    Bad("NaN", **raw(json.dumps(split(rows=changed(2, float("nan"))))), says="column 's2' has 1 empty cells"),
    Bad("infinity", **raw(json.dumps(split(rows=changed(2, float("inf"))))), says="column 's2' has 1 infinite cells"),
    Bad("a number beyond float64", split(rows=changed(2, 10**400)), says="."),
    Bad("too few rows", split(rows=GOOD[:3]), says="at least 4 consecutive rows .* but got 3"),
    Bad("a parameter of another type", split(params={"threshold": "high"}), says="threshold"),
    Bad(
        "a threshold that is no number",
        **raw(json.dumps(split(params={"threshold": float("nan")}))),
        says="finite|threshold",
    ),
    Bad("a negative number of features", split(params={"explain": -1}), says="-1"),
    Bad("parameters that are a list", split(params=[1]), says="."),
    Bad("an empty CSV", **csv(""), says="parse"),
    Bad("a CSV with text", **csv("\n".join([*LINES, "1,2,x,4,5,6"])), says="column 's2' must hold numbers"),
    Bad("a CSV in another code", **csv(b"\xff"), says="UTF-8"),
    Bad("no Parquet", **raw(b"PAR1PAR1", PARQUET), says="Parquet"),
    Bad("no content type", b"{}", says="Content-Type must be .*, but is None", status=415),
    Bad("an image", **raw(b"{}", "image/png"), says="Content-Type must be", status=415),
    Bad("another charset", **raw("{}", f"{JSON}; charset=utf-16"), says="may say charset=utf-8", status=415),
    Bad("too large", **raw("x" * (MAX_BYTES + 1)), says="must not exceed", status=413),
]


@each(INVOCATIONS)
def test_mlflows_endpoint_refuses_without_a_trace_and_without_the_data(client, bad):
    refused(client, "POST", "/invocations", bad)


# --- streams ---

PUSH = [
    Bad("no rows", {"after": 0}, says=r"must have rows, .*\['after'\]"),
    Bad("rows that are no list", {"rows": 7}, says="rows must be a list of rows, but is 7"),
    Bad("a row too short", {"rows": [[1, 2]]}, says="each row must be a list of 6 values, but row 0 has 2 values"),
    Bad("one row and not a list of it", {"rows": GOOD[0]}, says="each row must be a list of 6 values"),
    Bad("null", {"rows": changed(2, None)}, says="column 's2' has 1 empty cells, first at row 7"),
    Bad("text", {"rows": changed(2, "x")}, says="column 's2' must hold numbers"),
    Bad("infinity", {"rows": changed(2, 1e39)}, says="column 's2' has 1 infinite cells"),
    Bad("too many rows", {"rows": GOOD[:1] * (MAX_ROWS + 1)}, says=f"at most {MAX_ROWS} rows", status=413),
    Bad("after a text", {"rows": GOOD, "after": "7"}, says="after must be a number of rows, 0 or more, but is '7'"),
    Bad("after less than nothing", {"rows": GOOD, "after": -1}, says="after must be a number of rows, .* but is -1"),
    Bad("after a truth", {"rows": GOOD, "after": True}, says="after must be a number of rows, .* but is True"),
    Bad("after half a row", {"rows": GOOD, "after": 0.5}, says="after must be a number of rows, .* but is 0.5"),
    Bad("after other rows", {"rows": GOOD, "after": 7}, says="must have 7 rows before these, but has 0", status=409),
    Bad("times that are none", {"rows": GOOD[:1], "times": ["x"]}, says="that of row 0 is 'x'"),
    Bad("too many times", {"rows": GOOD[:1], "times": ["2026-01-01"] * 2}, says="as many as the 1 rows, but are 2"),
    Bad("times that go back", {"rows": GOOD[:2], "times": ["2026-01-02", "2026-01-01"]}, says="times must ascend"),
    Bad("times out of reach", {"rows": GOOD[:1], "times": ["9999-12-31"]}, says="row 0"),
]


@each(PUSH)
def test_rows_that_a_stream_cannot_take_are_refused(client, stream, bad):
    refused(client, "POST", f"/api/streams/{stream}/rows", bad)
    assert client.get(f"/api/streams/{stream}").json["rows"] == 0


POLICIES = [
    Bad("a policy that is a list", {"policy": [1]}, says="policy"),
    Bad("a deep policy", **raw('{"policy": ' + '{"a":' * 900 + "1" + "}" * 901), says="policy"),
    Bad(
        "a policy of thousands",
        {"policy": {f"a{place}": 1 for place in range(3000)}},
        says="must not exceed",
        status=413,
    ),
    Bad("an unknown rule", {"policy": {"hurry": True}}, says="policy.hurry: extra inputs are not permitted"),
    Bad(
        "time that stands still",
        {"policy": {"step_seconds": 0}},
        says="policy.step_seconds: .*greater than .*, but got 0",
    ),
    Bad("time that is a text", {"policy": {"step_seconds": "60"}}, says="policy.step_seconds: .*number, but got '60'"),
    Bad(
        "another way with late rows",
        {"policy": {"late": "keep"}},
        says="policy.late: .*'refuse' or 'drop', but got 'keep'",
    ),
    Bad("an endless hold", {"policy": {"longest_fill": 1e400}}, headers={}, says="policy.longest_fill|no Infinity"),
]


@each(POLICIES)
def test_a_policy_that_is_none_opens_no_stream(client, bad):
    refused(client, "POST", "/api/streams", bad)


@pytest.mark.parametrize(
    "number",
    [
        NOBODY,
        "x",
        "0" * 31,
        "0" * 5000,
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "A" * 32,
        "%F0%9F%94%A5",
        "0" * 32 + "%0a",
    ],
)
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("DELETE", ""), ("POST", "/rows")])
def test_a_stream_that_does_not_exist_is_not_looked_for_elsewhere(client, number, method, rest):
    body = {"rows": GOOD} if method == "POST" else None
    refused(client, method, f"/api/streams/{number}{rest}", Bad("id", body, "there is no", status=404))


def test_no_more_streams_than_allowed_are_opened(client):
    answers = [client.post("/api/streams") for _ in range(41)]
    assert answers[-1].status == 429
    assert "40 streams are open" in answers[-1].json["message"]
    assert int(answers[-1].headers["Retry-After"]) > 0
    for answer in answers:
        if answer.status == 201:
            assert client.ask("DELETE", f"/api/streams/{answer.json['id']}").status == 204


# --- searches and jobs ---

SERIES = [float(place % 7) for place in range(100)]

TRAIN_PREDICT = [
    Bad("neither", {}, says="give y_true, or use_synthetic: true, and not both"),
    Bad("both", {"y_true": SERIES, "use_synthetic": True}, says="give y_true, or use_synthetic: true, and not both"),
    Bad("no series", {"use_synthetic": False}, says="give y_true, or use_synthetic: true"),
    Bad("too short a series", {"y_true": SERIES[:11]}, says="y_true: .*at least 12 items"),
    Bad("too long a series", {"y_true": [1] * 20_001}, says="y_true: .*at most 20000 items"),
    Bad("no list", {"y_true": "1,2,3"}, says="y_true: .*but got '1,2,3'"),
    Bad("a series of nothing but faults", {"y_true": [False, "x"] * 15_000}, says="y_true.0: .*number, but got False"),
    Bad("a series of lists", {"y_true": [[1.0]] * 100}, says=r"y_true.0: .*number, but got \[1.0\]"),
    Bad("a series with null", {"y_true": [None, *SERIES]}, says="y_true.0: .*number, but got None"),
    Bad("a series with text", {"y_true": [*SERIES, "high"]}, says="y_true.100: .*number, but got 'high'"),
    Bad("a series with truth", {"y_true": [*SERIES, True]}, says="y_true.100: .*number, but got True"),
    Bad(
        "a number beyond float32", {"y_true": [*SERIES, 1e39]}, says=r"numbers up to 3.4e\+38, but number 100 is 1e\+39"
    ),
    Bad(
        "a series that stands still",
        {"y_true": [4.0] * 200},
        says="y_true must vary, but its first .* values are all 4",
    ),
    Bad("no sigma", {"y_true": SERIES, "sigma": None}, says="sigma: .*number, but got None"),
    Bad("sigma nothing", {"y_true": SERIES, "sigma": 0}, says="sigma: .*greater than .*, but got 0"),
    Bad("sigma less than nothing", {"y_true": SERIES, "sigma": -3}, says="sigma: .*greater than 0, but got -3"),
    Bad("sigma a text", {"y_true": SERIES, "sigma": "3"}, says="sigma: .*number, but got '3'"),
    Bad("synthetic a number", {"use_synthetic": 1}, says="use_synthetic: .*boolean, but got 1"),
]


@each(TRAIN_PREDICT)
def test_a_series_that_cannot_be_learned_starts_no_search(client, bad):
    refused(client, "POST", "/train_predict", bad)
    assert client.get("/api/jobs").json == []


SEARCHES = [
    Bad("another series", {"series": "mine"}, says="series: .*'synthetic' or 'sample', but got 'mine'"),
    Bad("a path for a series", {"series": "../../etc/passwd"}, says="series: .*'synthetic' or 'sample'"),
    Bad("a series that the model has not", {"series": "sample"}, says="no series 'sample'", status=404),
    Bad("no trial", {"trials": 0}, says="trials: .*greater than or equal to 1, but got 0"),
    Bad("too many trials", {"trials": 65}, says="trials: .*less than or equal to 64, but got 65"),
    Bad("half a trial", {"trials": 2.5}, says="trials: .*integer, but got 2.5"),
    Bad("too few rows", **csv("\n".join(LINES)), says="at least 500 rows, but got 20"),
    Bad("too many rows", **csv("a\n" + "1\n" * 301), says=f"at most {MAX_ROWS} rows", status=413),
    Bad("no rows", **csv("a,b\n"), says="at least 500 rows, but got 0"),
]


@each(SEARCHES)
def test_a_search_that_makes_no_sense_is_not_begun(client, bad):
    refused(client, "POST", "/api/searches", bad)
    assert client.get("/api/jobs").json == []


@pytest.mark.parametrize("query", ["trials=0", "trials=x", "trials=65", "trial=4"])
def test_a_search_of_no_number_of_trials_is_not_begun(client, query):
    refused(client, "POST", f"/api/searches?{query}", Bad("query", **csv("a\n1\n"), says="trial"))


@pytest.mark.parametrize("number", [NOBODY, "..%2f..", "%00", "-1"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_job_that_does_not_exist_is_not_found(client, number, method):
    refused(client, method, f"/api/jobs/{number}", Bad("id", None, "there is no", status=404))


def test_a_threshold_is_not_fitted_to_nothing(client):
    refused(client, "POST", "/api/recalibrate", Bad("nothing", None, "at least 100 recent scores, but there are 0"))


def test_what_was_not_recalibrated_is_not_undone(client):
    refused(client, "DELETE", "/api/recalibrate", Bad("nothing", None, "but there is none; recalibrate", status=409))


# --- paths and methods ---


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api",
        "/api/series/other",
        "/api/series/..%2f..%2fetc%2fpasswd",
        "/page/..%2f..%2fservice.py",
        "/page/../service.py",
        "/page/%2e%2e/service.py",
        "/page//etc/passwd",
        "/page/index.html%00.js",
        "/page/",
        "/%ff%fe",
        "/..%5c..%5cwindows",
        "/docs",
        "/redoc",
        "/invocations/",
        "//api/model",
        "/" + "a" * 5000,
    ],
)
def test_a_path_that_is_none_of_ours_is_not_found(client, path):
    refused(client, "GET", path, Bad("path", None, "there is no", status=404))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/invocations", "POST"),
        ("GET", "/train_predict", "POST"),
        ("PUT", "/api/score", "POST"),
        ("PATCH", "/api/model", "GET, HEAD"),
        ("DELETE", "/api/model", "GET, HEAD"),
        ("POST", "/ping", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("TRACE", "/", "GET, HEAD"),
        ("POST", "/page/app.js", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("OPTIONS", "/api/score", "POST"),
        ("DELETE", "/api/jobs", "GET, HEAD"),
        ("POST", f"/api/jobs/{NOBODY}", "DELETE, GET, HEAD"),
        ("GET", "/api/recalibrate", "DELETE, POST"),
        ("BREW", "/api/score", "POST"),
    ],
)
def test_a_method_that_an_endpoint_does_not_know_is_refused(client, method, path, allowed):
    refused(client, method, path, Bad("method", None, f"does not take {method}; it takes {allowed}", status=405))
    assert client.ask(method, path).headers["Allow"] == allowed


def test_head_of_what_has_no_get_is_refused_without_a_body(client):
    answer = client.ask("HEAD", "/api/score")
    assert (answer.status, answer.headers["Allow"], answer.content) == (405, "POST", b"")
    assert client.ask("HEAD", "/nothing").status == 404


# --- hosts and origins ---


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "10.0.0.1",
        "",
        "[::2]",
        "localhost:x",
        "a@localhost@b",
    ],
)
def test_a_foreign_host_is_refused(client, host):
    refused(
        client, "GET", "/api/model", Bad("host", None, "Host must be localhost", status=403, headers={"Host": host})
    )


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:1234", "127.1.2.3", "[::1]:5001", "localhost."]
)
def test_a_name_of_the_loopback_is_welcome(client, host):
    assert client.get("/api/model", Host=host).status == 200


@pytest.mark.parametrize(
    "source", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1.evil.example", "x"]
)
@pytest.mark.parametrize("path", ["/api/score", "/invocations", "/api/recalibrate", "/train_predict"])
def test_another_origin_cannot_post(client, source, path):
    headers = {"Origin": source, "Content_Type": JSON}
    refused(client, "POST", path, Bad("source", "{}", "Origin must be the service itself", 403, headers))


def test_the_page_itself_can_post(client):
    answer = client.post("/api/score", {"columns": FEATURES, "rows": GOOD}, Origin=f"http://127.0.0.1:{client.port}")
    assert answer.status == 200


# --- what the HTTP library would not send ---


def said(client, text):
    """Returns what the service answers to these bytes; nothing if it hangs up instead."""
    answer = b""
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        try:
            connection.sendall(text)
            while not answer.endswith(b"}") and (part := connection.recv(65536)):
                answer += part
        except ConnectionError:
            pass
    return answer.decode()


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /api/model HTTP/1.1\r\n\r\n",
        b"GET /api/model HTTP/1.0\r\n\r\n",
        b"GET /api/model HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/model HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda text: text[:30].decode(errors="replace"),
)
def test_bytes_that_are_no_request_do_no_harm(client, request_):
    answer = said(client, request_)
    assert answer == "" or re.match(r"HTTP/1\.1 4\d\d ", answer), answer[:300]
    assert "Traceback" not in answer
    assert client.get("/ping").status == 200


def test_a_body_in_chunks_is_measured_too(client):
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    head = f"POST /api/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = said(client, head.encode() + chunk * 20 + b"0\r\n\r\n")
    assert answer.startswith("HTTP/1.1 413 ")
    assert f"must not exceed {MAX_BYTES} bytes, but has {20 * 0x4000} or more" in answer
    assert said(client, head.encode() + b"2\r\n{}\r\n0\r\n\r\n").startswith("HTTP/1.1 400 ")


def test_there_are_many_kinds_and_they_do_not_repeat():
    kinds = [
        bad.name for table in (BODIES, SCORE, INVOCATIONS, PUSH, POLICIES, TRAIN_PREDICT, SEARCHES) for bad in table
    ]
    assert len(set(kinds)) > 100
