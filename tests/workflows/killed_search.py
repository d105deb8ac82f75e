"""A search in a process of its own that kills itself at a chosen step between its last trial and its end."""

import os
import signal
from pathlib import Path

from mlflow import MlflowClient

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
import tsad.workflows.search as workflow
from tsad.assessment import baselines

CHANGES = (
    "create_registered_model",
    "_create_model_version",  # what mlflow.register_model calls
    "create_logged_model",
    "log_model_artifacts",
    "log_outputs",
    "finalize_logged_model",
    "set_registered_model_alias",
    "set_registered_model_tag",
    "delete_registered_model_alias",
    "set_model_version_tag",
    "update_model_version",
    "log_batch",
    "log_artifact",
    "log_artifacts",
    "set_terminated",
)
"""Calls of MLflow's client that change the store."""


def label(name, values, options):
    """Returns the name of a step: a call, and what it writes."""
    if name == "log_batch":
        kinds = [kind for kind in ("metrics", "tags") if options.get(kind)]
        return f"{name} {'gate' if 'gate' in str(options) else ''} {' '.join(kinds)}"
    if name in {"log_artifact", "log_artifacts"}:
        return f"{name} {Path(values[1]).name}"
    if name == "set_model_version_tag":
        return f"{name} {'last' if values[2] == 'tsad.gate' else 'other'}"
    return f"{name} {values[1]}" if name == "set_registered_model_alias" else name


def search(folder: Path, space: dict, done: tuple[str, ...] | None) -> None:
    """Searches, or resumes the search, and kills itself after its last trial before the first step that is not done.

    The file `step` names that step.

    Args:
        folder: Working folder with the store.
        space: Values of the search space.
        done: Labels of the steps that are not killed; None for no kill.
    """
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "TSAD_"))]:
        del os.environ[name]
    baselines.BASELINES = {name: baselines.BASELINES[name] for name in ("random", "l2")}  # the others take seconds
    write_report = workflow._write_report

    def killing(name, original):
        def call(*values, **options):
            step = label(name, values[1:], options)
            if done is not None and step not in done:
                (folder / "step").write_text(step)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*values, **options)

        return call

    def report(*values):
        for name in CHANGES:
            setattr(MlflowClient, name, killing(name, getattr(MlflowClient, name)))
        write_report(*values)

    workflow._write_report = report
    workflow.search(space, resume=True)
