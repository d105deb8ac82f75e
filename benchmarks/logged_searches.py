"""Whole searches, each run once: what the benchmarks of searches have in common."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tsad.tuning.spec import read_search
from tsad.workflows.context import Context

SPACES = Path(__file__).resolve().parents[1] / "search_spaces"


def searched(context: Context, space: str, changes: Mapping[str, Any]) -> Run:
    """Returns the run of the finished search of `search_spaces/SPACE.yaml` with changes; searches if there is none yet.

    A search counts as done if it has the same search fingerprint and the same limits, and one that was killed goes on.
    """
    wanted = read_search(SPACES / f"{space}.yaml", changes)
    fingerprint = wanted.search_fingerprint(wanted.data.load(context.settings.data_dir))
    limits = {f"search.{name}": _logged(getattr(wanted.spec, name)) for name in ("trials", "seconds", "parallel")}
    found = _finished(context, fingerprint, limits)
    if found is None:
        command = [sys.executable, "-m", "tsad", "search", str(SPACES / f"{space}.yaml"), "--resume"]
        words = [word for path, value in changes.items() for word in ("--set", f"{path}={_yaml(value)}")]
        print(f"searching {space}: {dict(changes)}", flush=True)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run([*command, *words], env=environment, stdout=subprocess.DEVNULL, check=True)
        found = _finished(context, fingerprint, limits)
    if found is None:
        raise SystemExit(f"the search of {space} with {dict(changes)} left no finished run")
    return found


def trials(context: Context, search: Run) -> pd.DataFrame:
    """Returns a row per trial of a search, in the order of ending: metrics, `state`, `name`, `seconds` until its end."""
    condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{search.info.run_id}'"
    rows = [
        {
            **run.data.metrics,
            "name": run.info.run_name,
            "state": run.data.tags["tsad.state"],
            "seconds": (run.info.end_time - search.info.start_time) / 1000,
        }
        for run in context.store.search(search.info.experiment_id, condition)
    ]
    return pd.DataFrame(rows).sort_values("seconds", ignore_index=True)


def _finished(context: Context, fingerprint: str, limits: Mapping[str, str]) -> Run | None:
    condition = f"tags.`tsad.search_fingerprint` = '{fingerprint}' and attributes.status = 'FINISHED'"
    runs = context.store.search(context.store.experiment(), condition)
    return next((run for run in runs if limits.items() <= run.data.params.items()), None)


def _logged(limit: float | None) -> str:
    return "None" if limit is None else f"{limit:g}"  # as parameters of a run show it


def _yaml(value: object) -> str:
    return "null" if value is None else str(value)
