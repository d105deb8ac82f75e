"""Commands about MLflow runs."""

import click

from tsad.cli.options import PLAIN, configure


@click.group(context_settings=PLAIN)
def runs() -> None:
    """Tidy up the MLflow runs of killed commands."""


@runs.command(context_settings=PLAIN)
@click.option("--dry-run", is_flag=True, help="List the runs only; nothing is changed.")
@click.option("--yes", is_flag=True, help="End them without a question.")
@click.option(
    "--silent",
    type=click.FloatRange(60),
    default=300,
    show_default=True,
    help="Seconds without a sign of life after which a command counts as dead.",
)
def tidy(*, dry_run: bool, yes: bool, silent: float) -> None:
    """End runs that are RUNNING although their process is gone, on any machine, as KILLED."""
    import tsad.workflows.tidy as workflow

    def agree(result: workflow.TidyResult) -> bool:
        click.echo(str(result))
        try:
            return click.confirm(f"End these {len(result.orphans)} runs as KILLED?")
        except click.Abort as abort:
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise
            raise click.UsageError("nobody answers; give --yes to end them, or --dry-run to list them") from None

    configure()
    result = workflow.tidy_runs(seconds=silent, dry_run=dry_run, agree=None if yes else agree)
    if result.ended or dry_run or not result.orphans:
        click.echo(str(result))
    else:
        click.echo("nothing was changed")
