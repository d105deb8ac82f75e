"""Specs: frozen descriptions of things, written in YAML, checked all at once, put back together by paths."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tsad.errors import SpecError, shown

SpecT = TypeVar("SpecT", bound="Spec")


class Spec(BaseModel):
    """Base of every description: immutable, no unknown keys, no silent conversions, no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _as_texts(value: Any) -> Any:
    """Returns a single text or number as a tuple of one text, and numbers in a list as texts; other values as they are."""
    items = value if isinstance(value, list | tuple) else [value]
    if value is None or not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
        return value
    return tuple(
        item if isinstance(item, str) else str(int(item)) if item == item // 1 else str(item) for item in items
    )


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]
"""Several texts, such as names of columns; a single one needs no list around it, and numbers no quotes."""


RENAMED_KEYS = {
    "baseline": "normalization",
    "designer": "algorithm",
    "kinds": "anomaly_types",
    "maximise": "maximize",
    "minimise": "minimize",
    "immigrants": "random_fraction",
    "misfit": "error",
    "saves": "budget",
    "share": "fraction",
}
"""New names of keys that had other names before the first release; the error about an old one tells the new one."""

RENAMED_KINDS = {
    "ageing": "aging",
    "labelled": "labeled",
    "median": "rolling_median",
    "misfit": "validation_error",
    "nearest_neighbour": "nearest_neighbor",
    "synthetic_kinds": "synthetic_anomaly_types",
}
"""New names of kinds, likewise."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, except that `1e-4` is the number that everybody means, and no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Returns the mapping; raises `yaml.YAMLError` if a key comes twice, where PyYAML takes the last."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.YAMLError(
                    f"key {key!r} comes twice, again at line {node.value[position][0].start_mark.line + 1}"
                )
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes texts that `_Loader` would read as numbers."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def parse(kind: type[SpecT], values: Mapping[str, Any], source: str) -> SpecT:
    """Returns the spec that `values` describes; raises `SpecError` naming every mistake by path and value."""
    try:
        return kind.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise SpecError(f"{source}: " + "; ".join(_mistakes(error, values))) from None
    except (TypeError, ValueError) as error:
        raise SpecError(f"{source}: only text, numbers, lists and mappings can be described, but {error}") from None


def _mistakes(error: ValidationError, values: Mapping[str, Any]) -> list[str]:
    mistakes = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_inside(other["loc"], item["loc"]) for other in items):
            continue  # pydantic counts only the items that are as they should be; what is wrong with the others is said
        if item["type"] == "default_factory_not_called":
            continue  # the mistake that kept a default from being made is said
        if item["type"] == "union_tag_not_found":
            item["msg"] = "must name its kind, since what else may stand there depends on it"
        path = ".".join(_path(item["loc"], values)) or "(top)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden" and item["loc"][-1] in RENAMED_KEYS:
            message = f"is called {RENAMED_KEYS[str(item['loc'][-1])]!r} now"
        if item["type"] == "union_tag_invalid" and (tag := item["ctx"]["tag"]) in RENAMED_KINDS:
            message = f"kind {tag!r} is called {RENAMED_KINDS[tag]!r} now"
        got = "" if item["type"] in {"missing", "union_tag_not_found"} else f", but got {shown(item['input'])}"
        mistakes.append(f"{path}: {message[:1].lower()}{message[1:]}{got}")
    return mistakes


def _inside(position: Sequence[str | int], section: Sequence[str | int]) -> bool:
    return len(position) > len(section) and position[: len(section)] == section


def _path(location: Sequence[str | int], values: Any) -> Iterator[str]:
    """Yields the path that an override would take: without the kinds that pydantic puts between a union and its fields."""
    for position in location:
        if isinstance(values, Mapping) and position not in values and position == values.get("kind"):
            continue
        yield str(position)
        try:
            values = values[position]
        except (KeyError, IndexError, TypeError):
            values = None


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns the mapping that a YAML file holds; raises `SpecError` if there is no such file or no mapping in it."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise SpecError(f"{path}: must hold a mapping of names to values, but holds {type(values).__name__}")
    return values


def write_yaml(path: Path, spec: Spec, heading: str) -> None:
    """Writes `spec` as YAML that `read_yaml` and `parse` turn into an equal spec, under a comment line `heading`."""
    body = yaml.dump(spec.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)
    path.write_text(f"# {heading}\n{body}", encoding="utf-8")


def parse_overrides(assignments: Sequence[str], kind: type[Spec] | None = None) -> dict[str, Any]:
    """Returns `{"a.b": value}` for texts `a.b=value`.

    Args:
        assignments: Texts as they are typed in a shell.
        kind: Spec that the paths belong to. A value whose field is text, or a list of texts, is taken as it is written, so
            `data.normal=1` and `data.time_format=%Y%m%d` need no quotes. All other values are read as YAML.

    Raises:
        SpecError: if a text has no path, or a value that is no text is no YAML.
    """
    overrides = {}
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise SpecError(f"an override must read path=value, but got {text!r}")
        leaves = [] if kind is None else list(_leaves(kind, path.strip()))
        try:
            if leaves and all(_is_text(leaf) for leaf in leaves):
                text_value = _text_value(value.strip() or value, {leaf for leaf in leaves if leaf in _TEXT_LISTS})
                only_lists = isinstance(text_value, str) and all(leaf in _TEXT_LISTS for leaf in leaves)
                overrides[path.strip()] = [text_value] if only_lists else text_value
            else:
                read = yaml.load(value, Loader=_Loader)  # noqa: S506 (a SafeLoader)
                overrides[path.strip()] = value.strip() if isinstance(read, date) else read
        except yaml.YAMLError:
            raise SpecError(f"the value of an override must be YAML, but got {text!r}") from None
    return overrides


_TEXT_LISTS = {tuple[str, ...]}
"""Types of fields that hold several texts."""


def _text_value(written: str, lists: Collection[Any]) -> Any:
    """Returns what is written for a field of text: a quoted text without its quotes, a list only where one may stand."""
    if written in {"", "~", "null"}:
        return None
    if written[0] in "\"'" or (lists and written[0] == "["):
        try:
            return yaml.load(written, Loader=yaml.BaseLoader)  # noqa: S506 (every value is a text)
        except yaml.YAMLError:
            return written
    return written


def _leaves(kind: Any, path: str) -> Iterator[Any]:
    """Yields the types that may stand at a path of a spec, without the unions around them; nothing if there is no such path."""
    kinds = list(_members(kind))
    for name in path.split("."):
        kinds = [member for parent in kinds for inner in _inner(parent, name) for member in _members(inner)]
    yield from kinds


def _inner(parent: Any, name: str) -> Iterator[Any]:
    if isinstance(parent, type) and issubclass(parent, BaseModel):
        yield from (field.annotation for key, field in parent.model_fields.items() if key == name)
    elif get_origin(parent) is tuple and name.isdecimal():
        yield get_args(parent)[0]
    elif get_origin(parent) is dict:
        yield get_args(parent)[1]


def _members(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in {Union, UnionType}:
        for member in get_args(kind):
            yield from _members(member)
    elif kind is not NoneType:
        yield kind


def _is_text(leaf: Any) -> bool:
    literals = get_args(leaf) if get_origin(leaf) is Literal else ()
    return (
        leaf in {str, Path}
        or leaf in _TEXT_LISTS
        or (bool(literals) and all(isinstance(literal, str) for literal in literals))
    )


def put(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `values` with each `"a.b.c": value` of `changes` put at its path; `values` stays as it is.

    A new `kind` replaces its whole section, because the other keys of the section belonged to the old kind. The order
    of `changes` does not matter: shorter paths, and `kind` among equals, go first.
    """
    result: dict[str, Any] = deepcopy(dict(values))
    for path in sorted(changes, key=lambda path: (path.count("."), not path.endswith("kind"))):
        *parents, name = path.split(".")
        section: Any = result
        for depth, parent in enumerate(parents, start=1):
            section = (
                section[_index(section, parent, path)] if isinstance(section, list) else section.setdefault(parent, {})
            )
            if not isinstance(section, dict | list):
                raise SpecError(
                    f"{path}: {'.'.join(parents[:depth])} is {shown(section)}, not a section to put a value in"
                )
        if isinstance(section, list):
            section[_index(section, name, path)] = deepcopy(changes[path])
        else:
            if name == "kind" and section.get("kind", changes[path]) != changes[path]:
                section.clear()
            section[name] = deepcopy(changes[path])
    return result


def _index(section: list[Any], name: str, path: str) -> int:
    if not name.isdecimal() or int(name) >= len(section):
        raise SpecError(
            f"{path}: a list of {len(section)} takes a place from 0 to {len(section) - 1}, but got {name!r}"
        )
    return int(name)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"a.b.c": value}` for every leaf of nested mappings and of lists of mappings."""
    leaves: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{path}.")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            leaves |= flatten({str(position): item for position, item in enumerate(value)}, f"{path}.")
        else:
            leaves[path] = value
    return leaves
