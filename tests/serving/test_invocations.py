"""`/invocations`: MLflow's answers, byte for byte, whether MLflow makes them or the service does."""

import json

import mlflow
import pandas as pd
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.serving.services import csv, service, split


@pytest.fixture(scope="module")
def client(folder, rows):
    with service(folder / "detector", folder / "state") as client:
        yield client


@pytest.fixture(scope="module")
def model(folder, client):
    return mlflow.pyfunc.load_model(str(folder / "state" / "model"))


def with_cell(rows, cell):
    """Returns the body of `split` in which one cell is another."""
    body = split(rows)
    body["dataframe_split"]["data"][50][2] = cell
    return body


def beside(rows, cell):
    """Returns the body of `split` with the columns turned round and another one before them."""
    data = [[cell, *row[::-1]] for row in rows.values.tolist()]
    return {"dataframe_split": {"columns": ["more", *rows.features[::-1]], "data": data}}


def numbered(rows):
    body = split(rows)
    body["dataframe_split"]["index"] = list(range(len(rows), 0, -1))
    return body


BODIES = {
    "numbers": split,
    "a whole number": lambda rows: with_cell(rows, 3),
    "nothing but whole numbers": lambda rows: {"dataframe_split": {"columns": rows.features, "data": [[1] * 6] * 20}},
    "a truth": lambda rows: with_cell(rows, cell=True),
    "a wild number": lambda rows: with_cell(rows, 3e38),
    "a text that is a number": lambda rows: with_cell(rows, "1.5"),
    "more whole digits than 64 bits": lambda rows: with_cell(rows, 2**70),
    "another column": lambda rows: beside(rows, 1e39),
    "another column of texts": lambda rows: beside(rows, "x"),
    "parameters": lambda rows: split(rows) | {"params": {"threshold": 0.1, "explain": 2}},
    "another key": lambda rows: split(rows) | {"more": 1},
    "numbered rows": numbered,
    "records": lambda rows: {
        "dataframe_records": [dict(zip(rows.features, row, strict=True)) for row in rows.values.tolist()]
    },
    "columns": lambda rows: {"inputs": dict(zip(rows.features, rows.values.T.tolist(), strict=True))},
    "CSV": csv,
    "whole numbers as CSV": lambda rows: pd.DataFrame(1, range(20), rows.features).to_csv(index=False),
    "Parquet of nullable columns": lambda rows: nullable(rows).to_parquet(),
}


def nullable(rows):
    """Returns the rows as a table whose columns are of every nullable type."""
    table = pd.DataFrame(rows.values * 10, columns=list(rows.features)).round()
    kinds = dict(zip(table, ("Int64", "Float64", "int64", "Int8", "Float32"), strict=False))
    return table.astype(kinds).assign(**{rows.features[-1]: (table.iloc[:, -1] > 0).astype("boolean")})


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_they_are_answered_as_mlflow_answers_them(client, rows, model, body):
    content = body(rows)
    media = {str: "text/csv", bytes: "application/vnd.apache.parquet"}.get(type(content), "application/json")
    content = json.dumps(content) if isinstance(content, dict) else content
    ours = client.post("/invocations", content, Content_Type=media)
    schema = model.metadata.get_input_schema()
    sent = content if isinstance(content, bytes) else content.encode()
    theirs = mlflow.pyfunc.scoring_server.invocations(sent, media, model, schema)
    assert ours.status == theirs.status == 200
    assert ours.content.decode() == theirs.response


def test_numbers_do_not_go_through_the_tables_of_mlflow(client, rows, monkeypatch):
    monkeypatch.setattr(mlflow.pyfunc.scoring_server, "invocations", None)
    assert client.post("/invocations", split(rows)).status == 200
    assert client.post("/invocations", with_cell(rows, "1.5")).status == 400  # which calls None
