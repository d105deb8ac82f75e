"""The command line. Each verb imports what it needs when it runs, so that `--help` answers at once."""

import atexit
import gc
import logging
import sys

import click

from tsad.cli import finding, production, rows
from tsad.cli.options import PLAIN


@click.group(context_settings=PLAIN)
@click.version_option(package_name="tsad")
def cli() -> None:
    """Find, prove and serve anomaly detectors for multivariate time series."""


for _verb in (
    finding.train,
    finding.search,
    finding.evaluate,
    finding.score,
    finding.plot,
    production.serve,
    production.promote,
    production.drift,
    production.recalibrate,
    rows.data,
    rows.generate,
    rows.download,
    rows.cache,
):
    cli.add_command(_verb)


def main() -> None:
    """Runs a verb; exits 0 when done, 1 with one line when something is wrong with what it was given, 2 on wrong usage.

    The collector looks less often: imports make hundreds of thousands of objects and no garbage, which costs each command a
    second at its start; and not at the end of the process, which costs another.
    """
    gc.set_threshold(20_000)
    atexit.register(gc.freeze)
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # the one place where everything ends: one line for the user, the rest for the log file
        logging.getLogger("tsad").debug("%s failed", " ".join(sys.argv[1:]), exc_info=True)
        click.echo(f"{type(error).__name__}: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
