"""Commands for a detector in production."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tsad.cli.options import FILE, FOLDER, PASS_ON, PLAIN, ROWS, configure, extra_words, overrides, overrides_of


def _seconds_by_name(ctx: click.Context, param: click.Parameter, stated: Sequence[str]) -> dict[str, float]:
    """Returns the timeouts of `NAME=SECONDS`; ends the command with 2 if one is no number."""
    result = {}
    for words in stated:
        name, _, seconds = words.partition("=")
        try:
            result[name.strip()] = float(seconds)
        except ValueError:
            raise click.BadParameter(f"must be NAME=SECONDS, such as head=10, but got {words!r}", ctx, param) from None
    return result


@click.command(context_settings={**PLAIN, "auto_envvar_prefix": "TSAD_SERVE"})
@click.argument("model", default="models:/tsad@champion")
@click.argument("others", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=5001, show_default=True, help="0 takes a free one.")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A host name of the service, in addition to localhost."
)
@click.option(
    "--proxy", "proxies", multiple=True, metavar="NETWORK", help="A proxy whose X-Forwarded-* headers are believed."
)
@click.option("--root-path", default="", metavar="PATH", help="Path that a proxy reaches the service below.")
@click.option(
    "--token",
    allow_from_autoenv=False,
    help="Token of the role admin; better set as TSAD_TOKEN, which others on the machine cannot see.",
)
@click.option("--tokens", type=FILE, help="File of tokens with roles; by default that of tsad token.")
@click.option("--insecure", is_flag=True, help="Let other machines in without a token.")
@click.option("--trust", is_flag=True, help="Run the code that is stored in MODEL in place of the installed one.")
@click.option("--gate", type=FILE, help="The EXPERIMENT.yaml whose rows decide about promotions.")
@click.option(
    "--production", multiple=True, metavar="TOKEN", help="Name of a token whose rows count as production; default: all."
)
@click.option("--state", type=FOLDER, help="Folder for what survives a restart.")
@click.option("--wait", type=click.FloatRange(0), default=240, show_default=True, help="Seconds /train_predict waits.")
@click.option(
    "--max-bytes", type=click.IntRange(1), default=16_000_000, show_default=True, help="Largest body of a request."
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Largest number of rows of a request.",
)
@click.option(
    "--max-cells",
    type=click.IntRange(1),
    default=2_000_000,
    show_default=True,
    help="Largest number of cells of a request.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Largest number of open connections.",
)
@click.option(
    "--max-per-address", type=click.IntRange(1), help="Open connections of one address; default: half of all."
)
@click.option(
    "--timeout",
    "timeouts",
    multiple=True,
    metavar="NAME=SECONDS",
    callback=_seconds_by_name,
    help="Time limit; default: head=10 body=30 answer=60 fetch=15 idle=15.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Requests scored side by side.")
@click.option(
    "--job-seconds",
    type=click.FloatRange(1),
    default=3600,
    show_default=True,
    help="Time limit of a search in seconds.",
)
@click.option(
    "--poll",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Seconds between looks at the alias of MODEL; 0 keeps the version.",
)
@click.option(
    "--detectors",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Detectors in memory, of models and of entities of fleets.",
)
def serve(model: str, others: Sequence[str], **options: Any) -> None:
    """Serve MODEL over HTTP: MLflow's endpoints, scores, streams, small searches, a page.

    MODEL is models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/detector, or a folder, of a detector or a fleet; by default
    models:/tsad@champion. OTHERS are served beside it by their names, which NAME=MODEL chooses.
    Each option can also be set as a variable, such as TSAD_SERVE_MAX_ROWS.
    """
    import tsad.workflows.serve as workflow

    configure()
    workflow.serve(
        (model, *others),
        workflow.Options(**options),
        on_start=lambda address: click.echo(f"Page: {address}"),
        on_notice=click.echo,
    )


@click.command(context_settings=PASS_ON)
@click.argument("model", required=False)
@click.option("--data", type=FILE, help="The EXPERIMENT.yaml whose rows MODEL and the champion are compared on.")
@click.option("--metric", help="Metric of the comparison on labeled rows; the default is ranking/pr_auc.")
@click.option("--margin", type=float, help="Difference by which MODEL must exceed the champion; the default is 0.02.")
@click.option("--force", is_flag=True, help="Promote without a comparison.")
@click.option("--into", metavar="NAME", help="Registered model whose champion MODEL must beat; MODEL is copied there.")
@click.option("--undo", is_flag=True, help="Make the champion before this one champion again.")
@click.option(
    "--name", default="tsad", show_default=True, help="Registered model, for --undo and runs:/RUN_ID/detector."
)
@overrides
@extra_words
def promote(
    model: str | None,
    data: Path | None,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    force: bool,
    into: str | None,
    undo: bool,
    name: str,
    metric: str | None,
    margin: float | None,
) -> None:
    """Make MODEL (models:/NAME/VERSION, runs:/RUN_ID/detector or runs:/RUN_ID/fleet) champion if it beats the present one."""
    import tsad.workflows.promote as workflow

    configure()
    changes, has_rules = overrides_of(assignments, extra), metric is not None or margin is not None
    if undo and not (model or data or force or into or has_rules or changes):
        result = workflow.undo_promotion(name)
    elif model and not undo and force != bool(data) and not (force and (has_rules or changes)):
        result = workflow.promote(model, data, changes, metric=metric, margin=margin, force=force, name=name, into=into)
    else:
        raise click.UsageError("give MODEL and --data, MODEL and --force, or --undo")
    click.echo(str(result))


@click.command(context_settings=PLAIN)
@click.argument("model")
@click.argument("file", type=ROWS)
@click.option("--output", type=FOLDER, help="Folder for drift.json and drift.png.")
@click.option("--reference", type=ROWS, help="Normal rows to compare with, instead of the training rows of MODEL.")
@click.option("--fail", is_flag=True, help="Exit with 1 if anything has drifted.")
def drift(model: str, file: Path, output: Path | None, reference: Path | None, *, fail: bool) -> None:
    """Compare the rows of FILE with those that MODEL was trained on."""
    from tsad.cli.progress import RowsProgress
    from tsad.workflows.drift import measure_drift

    configure()
    with RowsProgress() as progress:
        result = measure_drift(model, file, output=output, reference=reference, on_event=progress)
    click.echo(str(result))
    if fail and result.drift.state == "drifted":
        sys.exit(1)


@click.command(context_settings=PASS_ON)
@click.argument("model")
@click.argument("file", type=ROWS)
@click.option("--output", type=FOLDER, required=True, help="New folder for the detector.")
@click.option("--method", help="Kind of the new threshold, such as percentile or mad. Default: as it was.")
@click.option(
    "--update", "keep", is_flag=True, help="Add the scores to those of the old threshold instead of replacing them."
)
@overrides
@extra_words
def recalibrate(
    model: str,
    file: Path,
    output: Path,
    method: str | None,
    assignments: Sequence[str],
    extra: Sequence[str],
    *,
    keep: bool,
) -> None:
    """Fit MODEL's threshold to the scores of FILE, whose rows are mostly normal; no label is read."""
    from tsad.cli.progress import RowsProgress
    from tsad.workflows.recalibrate import recalibrate as workflow

    configure()
    changes = overrides_of(assignments, extra) | ({"threshold.kind": method} if method else {})
    if keep and changes:
        raise click.UsageError("--update keeps the rule of the threshold; leave out --method and --set, or --update")
    with RowsProgress() as progress:
        result = workflow(model, file, output, changes, keep=keep, on_event=progress)
    click.echo(str(result))
