"""Text and HTML of results, for the command line and for notebooks."""

import html
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tsad.settings import without_password


def lines(values: Mapping[str, object]) -> str:
    """Returns a line `name:  value` for each value, the values aligned."""
    return "\n".join(f"{f'{name}:':<10} {value}" for name, value in values.items())


def command(*words: str | Path) -> str:
    """Returns a command of this environment that runs as it is printed: words are quoted where the shell needs it."""
    program, *rest = words
    folder = Path(sys.executable).parent
    folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return shlex.join([str(folder / program), *map(str, rest)])


def tracking_ui(tracking_uri: str, experiment_id: str | None = None) -> str:
    """Returns the command that opens the MLflow UI, or the address of the server that has it already.

    Args:
        tracking_uri: URI of the tracking store.
        experiment_id: Experiment whose runs the address shows, as MLflow shows model training; None for the start page.
    """
    if tracking_uri.startswith(("http://", "https://")):
        address = re.sub(r"(://)[^/@]*@", r"\1", tracking_uri)  # a browser asks for the password itself
        page = "" if experiment_id is None else f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        return address.rstrip("/") + page
    return command("mlflow", "ui", "--backend-store-uri", without_password(tracking_uri))


def html_table(title: str, figures: Mapping[str, float], text: str) -> str:
    """Returns a small HTML table of figures with a title above and sentences below."""
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{value:.3f}</td></tr>" for name, value in figures.items())
    return (
        f"<div><b>{html.escape(title)}</b><table>{rows}</table>"
        f"<p>{html.escape(text).replace(chr(10), '<br>')}</p></div>"
    )
