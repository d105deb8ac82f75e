"""Small searches on rows that somebody sent, or that the service has; what wins is a candidate and never the served model."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from tsad.data.io.values import to_values
from tsad.errors import DataError
from tsad.registry.register import candidates_of, version_of
from tsad.serving.errors import RequestError
from tsad.serving.jobs import OUTPUTS, JobSpec
from tsad.serving.requests import CSV, Body, read_rows, read_spec
from tsad.serving.served_model import SYNTHETIC, ServedModel
from tsad.spec import Spec
from tsad.tuning.quickstart import LEAST_ROWS, quickstart_space

ROWS = "rows.csv"


class NewSearch(Spec):
    """The body that starts a search on rows that the service has.

    Attributes:
        series: `synthetic`, generated rows, or `sample`, those of the model.
        trials: Candidates to try.
    """

    series: Literal["synthetic", "sample"] = "synthetic"
    trials: int = Field(4, ge=1, le=64)


def task_of_search(body: Body, served: ServedModel, trials: int, most_rows: int) -> JobSpec:
    """Returns the task of a request.

    Args:
        body: JSON, a `NewSearch`; or CSV, the rows to search on.
        served: Has the series that a `NewSearch` names.
        trials: Candidates to try on CSV rows.
        most_rows: Largest number of rows of a CSV body.

    Raises:
        DataError: if the rows are too few, or a cell is no finite number.
        RequestError: if there is no such series, or the body is no table.
    """
    name = candidates_of(served.source.name)
    if body.media == CSV:
        return _on_table(read_rows(body, (), most_rows).table, trials, name)
    new = read_spec(NewSearch, body.content)
    if new.series == SYNTHETIC:
        return _task({"kind": "synthetic", "rows": 2000, "events": 15}, new.trials, name, lambda folder: None)
    if new.series not in served.series_names():
        raise RequestError(404, f"the model has no series {new.series!r}; search on {SYNTHETIC!r}, or send rows as CSV")
    return _on_table(served.series(new.series)[list(served.detector.scorer.features)], new.trials, name)


def run_of(folder: Path) -> Path:
    """Returns the folder of the search that a job's process ran; its name is that of the MLflow run."""
    (folder_of_run,) = (folder / OUTPUTS / "search").iterdir()
    return folder_of_run


def _on_table(table: pd.DataFrame, trials: int, name: str) -> JobSpec:
    if len(table) < LEAST_ROWS:
        raise DataError(f"a search needs at least {LEAST_ROWS} rows, but got {len(table)}; send more")
    to_values(table, [str(name) for name in table.columns], "body")
    data = {"kind": "csv", "path": ROWS, "test_ratio": 0.3}
    return _task(data, trials, name, lambda folder: table.to_csv(folder / ROWS, index=False))


def _task(data: Mapping[str, Any], trials: int, name: str, prepare: Callable[[Path], None]) -> JobSpec:
    return JobSpec("search", quickstart_space(data, trials, name), prepare, partial(_conclude, name))


def _conclude(name: str, folder: Path) -> dict[str, Any]:
    run = run_of(folder)
    return {
        "run_id": run.name,
        "report_path": f"runs:/{run.name}/nas_report.txt",
        "registered": name,
        "version": version_of(run.name, name),
    }
