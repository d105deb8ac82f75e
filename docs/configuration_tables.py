"""The page of the configuration, made from the specs: every key with its type, limits, default and meaning."""

import ast
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tsad.config import ExperimentConfig
from tsad.tuning.spec import SearchSpec

_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


# --- descriptions ---


def attribute_lines(cls: type) -> dict[str, str]:
    """Returns the description of each attribute, from `Attributes:` sections and from texts below fields, bases included."""
    lines: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.split(".")[0] == "tsad":
            lines |= _section(base) | _texts_below_fields(base)
    return lines


def _section(cls: type) -> dict[str, str]:
    doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    match = re.search(r"^Attributes:\n((?:[ ]+.*\n?|\n)+)", doc, flags=re.MULTILINE)
    if match is None:
        return {}
    entries = re.split(r"^(\w+): ?", textwrap.dedent(match[1]), flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in zip(entries[1::2], entries[2::2], strict=True)}


def _texts_below_fields(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    lines = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            lines[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return lines


def summary(cls: type) -> str:
    """Returns the first paragraph of a class's docstring in one line."""
    doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    return " ".join(re.split(r"\n\s*\n|\n\w+:\n", doc)[0].split())


# --- types and defaults ---


def members(annotation: Any) -> list[Any]:
    """Returns the alternatives of an annotation, without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [one for part in typing.get_args(annotation) for one in members(part)]
    return [] if annotation is type(None) else [annotation]


def sections(annotation: Any) -> list[type[BaseModel]]:
    """Returns the specs that an annotation accepts, inside lists too."""
    specs = []
    for member in members(annotation):
        if typing.get_origin(member) in {tuple, list}:
            specs += [spec for part in typing.get_args(member) if part is not ... for spec in sections(part)]
        elif isinstance(member, type) and issubclass(member, BaseModel):
            specs.append(member)
    return specs


def is_list(annotation: Any) -> bool:
    """Returns whether an annotation accepts a list."""
    return any(typing.get_origin(member) in {tuple, list} for member in members(annotation))


def kind_of(spec: type[BaseModel]) -> str | None:
    """Returns the value of `kind` that selects a spec."""
    field = spec.model_fields.get("kind")
    kinds = () if field is None else typing.get_args(field.annotation)
    return str(kinds[0]) if len(kinds) == 1 else None


def type_text(annotation: Any) -> str:
    """Returns an annotation as people write it: `whole number or null`."""
    names = list(dict.fromkeys(_name(member) for member in members(annotation)))
    optional = type(None) in typing.get_args(annotation)
    return " or ".join([*names, *(["null"] if optional else [])])


def _name(member: Any) -> str:
    origin, inner = typing.get_origin(member), typing.get_args(member)
    if origin is Literal:
        return ", ".join(f"`{value}`".replace("\t", "\\t") for value in inner)
    if origin in {tuple, list}:
        parts = [part for part in inner if part is not ...]
        texts = list(dict.fromkeys(type_text(part) for part in parts))
        return f"list of {texts[0]}" if len(texts) == 1 else f"[{', '.join(texts)}]"
    if origin is dict:
        return "mapping"
    if isinstance(member, type) and issubclass(member, BaseModel):
        return "section"
    names = {
        "int": "whole number",
        "float": "number",
        "str": "text",
        "bool": "true or false",
        "Path": "path",
        "ByteSize": "size",
    }
    return names.get(getattr(member, "__name__", str(member)), getattr(member, "__name__", str(member)).lower())


def bounds(field: FieldInfo) -> str:
    """Returns the limits of a number: `at least 1, at most 10`."""
    limits = [(text, getattr(rule, name, None)) for rule in field.metadata for name, text in _BOUNDS.items()]
    return ", ".join(f"{text} {limit:g}" for text, limit in limits if limit is not None)


def default_text(field: FieldInfo) -> str:
    """Returns a default as it stands in YAML."""
    if field.is_required():
        return "required"
    return f"`{_yaml(field.get_default(call_default_factory=True, validated_data={}))}`"


def _yaml(value: Any) -> str:
    if isinstance(value, BaseModel):
        kind = kind_of(type(value))
        changed = value.model_dump(mode="json", exclude_defaults=True)
        entries = {} if kind is None else {"kind": kind}
        return "{" + ", ".join(f"{name}: {_yaml(inner)}" for name, inner in (entries | changed).items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


# --- pages ---


def cell(text: str) -> str:
    """Returns a text that may stand in a cell of a table; a bar inside code needs no escape."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)


def keys(spec: type[BaseModel]) -> Iterator[tuple[str, FieldInfo, str]]:
    """Yields the YAML name, the field and the description of each key, without a `kind` that has one value."""
    lines = attribute_lines(spec)
    for name, field in spec.model_fields.items():
        if name != "kind" or kind_of(spec) is None:
            yield field.alias or name, field, field.description or lines.get(name, "")


def _table(spec: type[BaseModel]) -> list[str]:
    """Returns two columns, so that a phone shows both: the key, and below its meaning the type, limits and default."""
    rows = []
    for name, field, text in keys(spec):
        limits = [type_text(field.annotation), *([found] if (found := bounds(field)) else [])]
        default = default_text(field)
        facts = "; ".join([*limits, default if default == "required" else f"default {default}"])
        rows.append(f"| `{name}` | {cell(text)}<br>*{cell(facts)}* |")
    return ["| key | meaning, type and default |", "|---|---|", *rows, ""] if rows else ["No further keys.", ""]


def _pages(path: str, spec: type[BaseModel], level: int, seen: set[tuple[str, type]]) -> Iterator[str]:
    """Yields the table of a spec and those of the sections below it."""
    yield from _table(spec)
    for name, field, _ in keys(spec):
        below = f"{path}.{name}" if path else name
        if specs := sections(field.annotation):
            yield from _section_pages(f"{below}[]" if is_list(field.annotation) else below, specs, level, seen)


def _section_pages(path: str, specs: list[type[BaseModel]], level: int, seen: set[tuple[str, type]]) -> Iterator[str]:
    yield from [f"{'#' * min(level, 4)} `{path}`", ""]
    for spec in specs:
        kind = kind_of(spec)
        if kind is not None:
            yield from [f"{'#' * min(level + 1, 5)} `{path}: {{kind: {kind}}}`", ""]
        yield from [summary(spec), ""]
        if (path.split(".")[-1], spec) in seen:
            yield from ["Keys as above.", ""]
            continue
        seen.add((path.split(".")[-1], spec))
        yield from _pages(path, spec, level + 1, seen)


def configuration() -> str:
    """Returns every key of an experiment and of the section `search`."""
    lines = ["## All sections", "", *_table(ExperimentConfig)]
    seen: set[tuple[str, type]] = set()
    for name, field, _ in keys(ExperimentConfig):
        if specs := sections(field.annotation):
            lines += _section_pages(name, specs, 2, seen)
    lines += ["## `search`", "", summary(SearchSpec), "", *_pages("search", SearchSpec, 3, seen)]
    return "\n".join(lines)


def specs_of(spec: type[BaseModel], seen: dict[type[BaseModel], None] | None = None) -> list[type[BaseModel]]:
    """Returns a spec and all specs below it, each once."""
    seen = {} if seen is None else seen
    if spec not in seen:
        seen[spec] = None
        for field in spec.model_fields.values():
            for below in sections(field.annotation):
                specs_of(below, seen)
    return list(seen)


def paths() -> set[str]:
    """Returns the path of every key, such as `search.algorithm.kind`; the items of a list have the path of the list."""
    return {*_paths("", ExperimentConfig), *_paths("search.", SearchSpec)}


def _paths(prefix: str, spec: type[BaseModel]) -> Iterator[str]:
    for name, field in spec.model_fields.items():
        path = prefix + (field.alias or name)
        yield path
        for below in sections(field.annotation):
            yield from _paths(f"{path}.", below)
