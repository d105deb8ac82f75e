"""The other tables of the reference pages, made from the code: command line, environment, metrics, data sets, public names.

`hooks.py` puts them into pages when the site is built; `tests/docs` checks that nothing is left without a description.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import click
from configuration_tables import attribute_lines, cell, members, type_text

FIRST = (
    "train",
    "search",
    "evaluate",
    "promote",
    "score",
    "load_detector",
    "ExperimentConfig",
    "SearchConfig",
    "Detector",
)
"""Public names that the Python reference shows first, in this order."""


def environment() -> str:
    """Returns the environment variables of the settings."""
    from tsad.settings import Settings

    rows = ["| variable | meaning, type and default |", "|---|---|"]
    for name, field in Settings.model_fields.items():
        names = getattr(field.validation_alias, "choices", [f"TSAD_{name.upper()}"])
        default = f"default `{field.default}`" if field.default is not None else "no default"
        facts = f"{type_text(field.annotation)}; {default}"
        text = attribute_lines(Settings)[name]
        rows.append(f"| {', '.join(f'`{one}`' for one in names)} | {cell(text)}<br>*{cell(facts)}* |")
    return "\n".join(rows)


def metrics() -> str:
    """Returns every metric of a report: its name, its meaning with the source, and its heading in tables."""
    from tsad.evaluation.registry import metric_table

    rows = [
        f"| `{name}` | {cell(description)}<br>*{cell(heading)}{'; oracle' if oracle == 'yes' else ''}* |"
        for name, heading, description, oracle in metric_table()
    ]
    return "\n".join(["| metric | meaning (source) and heading |", "|---|---|", *rows])


def published_data() -> str:
    """Returns the published data sets that `tsad download` knows."""
    from tsad.data.sets.published import PUBLICATIONS

    rows = [
        f"| `{one.name}` | [{cell(one.title)}]({one.page}) | {'archive' if one.url else 'form'} |"
        for one in PUBLICATIONS.values()
    ]
    return "\n".join(["| name | data set | given out as |", "|---|---|---|", *rows])


def command_line() -> str:
    """Returns usage, help and options of every command."""
    from tsad.cli import cli

    return "\n".join(line for name, command in _commands(cli, "tsad") for line in _command(name, command))


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name, **command.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield from [f"## `{name}` {{#{name.replace(' ', '-')}}}", "", "```text", usage, "```", ""]
    yield from [inspect.cleandoc(command.help or ""), ""]
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        yield from ["| option | meaning |", "|---|---|"]
        yield from [_option(option, context) for option in options]
        yield ""


def _option(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context).removesuffix(' RANGE')}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    default = (
        f"<br>*default `{option.default}`*" if option.show_default else "<br>*required*" if option.required else ""
    )
    return f"| {cell(names)} | {cell(option.help or '')}{default} |"


def api(group: str) -> str:
    """Returns what mkdocstrings makes the reference of a group from: functions, results, events, classes, or errors."""
    return "\n\n".join(f"::: {name}" for name in api_names(group))


def api_names(group: str) -> list[str]:
    """Returns the full names of a group; those that are exported begin with `tsad.` and have no module."""
    import tsad

    exported = {name: getattr(tsad, name) for name in getattr(tsad, "__all__", ()) if not name.startswith("__")}
    if group == "results":
        returned = (
            inspect.signature(function).return_annotation for function in exported.values() if _is_function(function)
        )
        types_ = dict.fromkeys(one for one in returned if isinstance(one, type) and one.__name__.endswith("Result"))
        return [f"{one.__module__}.{one.__name__}" for one in types_]
    if group == "events":
        from tsad.workflows.events import Event

        return [f"{one.__module__}.{one.__name__}" for one in members(Event)]
    names = [name for name, public in exported.items() if _group(public) == group]
    return [
        f"tsad.{name}" for name in sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    ]


def _is_function(public: Any) -> bool:
    return inspect.isfunction(public)


def _group(public: Any) -> str:
    if _is_function(public):
        return "functions"
    return "errors" if issubclass(public, Exception) else "classes"
