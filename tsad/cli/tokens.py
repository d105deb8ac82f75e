"""Commands for the tokens of the service."""

from pathlib import Path

import click

from tsad.cli.options import FILE, PLAIN, configure

_ROLES = ("read", "score", "admin")
file_option = click.option("--file", type=FILE, help="File of the tokens; by default tokens.json in the output folder.")


@click.group(context_settings=PLAIN)
def token() -> None:
    """Create, list and revoke tokens of tsad serve."""


@token.command(context_settings=PLAIN)
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="Each may do what those before it may.")
@file_option
def create(name: str, role: str, file: Path | None) -> None:
    """Create a token called NAME and print it once; the file keeps only its hash."""
    import tsad.workflows.tokens as workflow

    configure()
    click.echo(workflow.create_token(name, role, file))  # type: ignore[arg-type]  # click checked it


@token.command("list", context_settings=PLAIN)
@file_option
def list_tokens(file: Path | None) -> None:
    """List names, roles and times of the tokens."""
    import tsad.workflows.tokens as workflow

    configure()
    for stored in workflow.list_tokens(file):
        click.echo(f"{stored.name}  {stored.role}  {stored.created}")


@token.command(context_settings=PLAIN)
@click.argument("name")
@file_option
def revoke(name: str, file: Path | None) -> None:
    """Revoke the token called NAME; running services refuse it from then on."""
    import tsad.workflows.tokens as workflow

    configure()
    workflow.revoke_token(name, file)
    click.echo(f"{name} is revoked")
