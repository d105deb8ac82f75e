"""Interrupts of long commands: by Ctrl-C, by SIGTERM, or by `mlflow run`, which sends both."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from tsad.errors import StoreError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def resumable(option: str | None) -> Iterator[None]:
    """Ends a command in order at the first SIGINT or SIGTERM, and names the command that resumes it.

    The signal becomes a `KeyboardInterrupt`, at which runs are ended as KILLED; the process then exits with 130. Signals that
    follow are ignored meanwhile, because they would leave runs RUNNING. If the tracking store fails, the error ends with the same
    command.

    Args:
        option: Option with which the command resumes; empty if the same command does, None if it begins again.
    """
    with _first_signal():
        try:
            yield
        except KeyboardInterrupt:
            if option is not None:
                click.echo(f"\ninterrupted; resume with: {resume_command(sys.argv[1:], option)}", err=True)
            raise
        except StoreError as error:
            if option is None:
                raise
            raise StoreError(f"{error}; resume with: {resume_command(sys.argv[1:], option)}") from error


def resume_command(words: list[str], option: str) -> str:
    """Returns the command that resumes a command of this process, for the same store and folder.

    Args:
        words: Words of the command after the program.
        option: Option to add unless it is among the words; empty for none.
    """
    again = [word for word in words if word != option] + ([option] if option else [])
    program = Path(sys.executable).parent / "tsad"
    text = shlex.join([str(program) if program.is_file() else "tsad", *again])
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri and "@" not in uri:  # no password is printed
        text = f"MLFLOW_TRACKING_URI={shlex.quote(uri)} {text}"
    return f"cd {shlex.quote(str(Path.cwd()))} && {text}" if "MLFLOW_RUN_ID" in os.environ else text


@contextmanager
def _first_signal() -> Iterator[None]:
    """Raises `KeyboardInterrupt` at the first signal inside, and ignores those that follow."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    signals: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if len(signals) == 1:
            raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in _SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
