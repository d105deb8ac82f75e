"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

import atexit
import gc
import logging
import signal
import sys
import threading
from types import FrameType

import click

from tsad.cli import data, detectors, production, runs, tokens
from tsad.cli.options import PLAIN
from tsad.errors import DataError, SpecError, UsageError


@click.group(context_settings=PLAIN)
@click.version_option(package_name="tsad")
def cli() -> None:
    """Find, prove and serve anomaly detectors for multivariate time series."""


for _command in (
    detectors.train,
    detectors.search,
    detectors.evaluate,
    detectors.score,
    detectors.plot,
    production.serve,
    tokens.token,
    production.promote,
    production.drift,
    production.recalibrate,
    runs.runs,
    data.data,
    data.generate,
    data.download,
    data.cache,
):
    cli.add_command(_command)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ends a command as Ctrl-C does, so that it ends its runs; supervisors and containers send SIGTERM.

    Further signals would interrupt just that: SIGTERM is ignored from then on, and Ctrl-C too unless it came first.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _TerminatedError


class _TerminatedError(KeyboardInterrupt):
    """An interruption by SIGTERM, which has an exit status of its own."""


def main() -> None:
    """Runs a command; exits with 0 when done, with 1 and one line after an error, with 2 on wrong usage.

    The collector looks less often: imports make hundreds of thousands of objects and no garbage, which costs each command a
    second at its start; and not at the end of the process, which costs another.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us ignores it
            signal.signal(signal.SIGINT, _interrupt)
    gc.set_threshold(20_000)
    atexit.register(gc.freeze)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort as abort:
        sys.exit(143 if isinstance(abort.__context__, _TerminatedError) else 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UsageError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except Exception as error:  # the one place where everything ends: one line for the user, the rest for the log file
        if not isinstance(error, SpecError):  # its one line says it all
            logging.getLogger("tsad").debug("%s failed", " ".join(sys.argv[1:]), exc_info=True)
        kind = (
            DataError if isinstance(error, DataError) else type(error)
        )  # its subclasses mean something to the code only
        click.echo(f"{kind.__name__}: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
