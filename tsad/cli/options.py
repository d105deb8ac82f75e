"""Types and options that commands share."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

PLAIN = {"help_option_names": ["-h", "--help"]}
PASS_ON = {"ignore_unknown_options": True, **PLAIN}
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


class Rows(click.ParamType[Path]):
    """A file of rows, a folder, or an address; also a config, where that can stand in its place."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Returns the path, which keeps both slashes of an address."""
        from tsad.data.io.containers.location import location

        return location(value)


ROWS = Rows()


class Auto(click.ParamType[int | float | None]):
    """A number, or `auto` for what the file says."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind
        self.name = f"{'whole ' if kind is int else ''}number|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float | None:
        """Returns the number, None for `auto`; ends the command with 2 if it is neither."""
        if value == "auto":
            return None
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"must be {self.name}, but got {value!r}", param, ctx)


class NameIn(click.ParamType[str]):
    """A name of a registry, which is imported when the command runs, since help must not wait for it."""

    name = "name"

    def __init__(self, registry: Callable[[], Iterable[str]]) -> None:
        self._registry = registry

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the name; ends the command with 2 if the registry does not have it."""
        return str(click.Choice(tuple(self._registry())).convert(value, param, ctx))


overrides = click.option("--set", "assignments", multiple=True, metavar="A.B.C=VALUE", help="Put a value at a path.")
extra_words = click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[--A.B.C VALUE ...]")


def refuse(context: click.Context, only: str, names: Iterable[str]) -> None:
    """Ends the command with 2 if one of the options was given, which are options `only` of another form of the command."""
    for name in names:
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name.replace('_', '-')} is an option {only}")


def configure() -> None:
    """Sets up the process of a command; called by each command when it runs, so that `--help` writes nothing."""
    from tsad.workflows.context import configure as configure_process

    configure_process()


def overrides_of(assignments: Sequence[str], extra: Sequence[str]) -> dict[str, Any]:
    """Returns overrides by path from `--set a.b=1`, and from `--a.b 1`, the form that `mlflow run -P a.b=1` passes on."""
    from tsad.config import ExperimentConfig
    from tsad.spec import parse_overrides

    words = list(extra)
    texts = list(assignments)
    while words:
        name, equals, value = words.pop(0).partition("=")
        path = name.removeprefix("--")
        if not name.startswith("--") or ("." not in path and path not in ExperimentConfig.model_fields):
            raise click.UsageError(
                f"no such option: {name}; a value of the file is set by its path, as --set training.epochs=5"
            )
        if not equals and not words:
            raise click.UsageError(f"{name} needs a value")
        texts.append(f"{path}={value if equals else words.pop(0)}")
    return parse_overrides(texts, ExperimentConfig)
