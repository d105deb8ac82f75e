"""Issues of a file: what is wrong with it, the settings that fix it, and the repairs that were made while it was read."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, NoReturn

import yaml

from tsad.errors import DataError
from tsad.spec import parse_overrides

_CHEAP = 0.01
"""Largest fraction of rows, cells or columns that a fix which is proposed first may change or leave out; one always may be."""


@dataclass(frozen=True)
class Cost:
    """Rows, cells or columns that a fix changes or leaves out.

    Attributes:
        what: What happens to what, such as "rows merged".
        count: Number of them.
        total: Number of all.
    """

    what: str
    count: int
    total: int

    @property
    def is_cheap(self) -> bool:
        """Whether a fix of this cost may be proposed first."""
        return self.count <= max(1, _CHEAP * self.total)

    def __str__(self) -> str:
        return f"{self.count} of {self.total} {self.what}, {self.count / max(self.total, 1):.1%}"


@dataclass(frozen=True)
class Issue:
    """One reason why a file cannot be used as it is, with the ways to fix it.

    Attributes:
        source: Path of the file.
        text: What is wrong, with column, row and cell; rows count from 0 below the header, lines of the file from 1.
        fix: Settings of the section `data` that solve the issue, by name; empty if only a change of the file does, or a
            decision that the user has to take.
        advice: What else the user can do, in words; empty if there is nothing else.
        cost: What the fix changes or leaves out; None if it loses nothing.
        accepted: Settings that solve the issue at a cost that is not cheap, so that only the user can choose them.
    """

    source: str
    text: str
    fix: Mapping[str, Any]
    advice: str
    cost: Cost | None = None
    accepted: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = f"set {settings_text(self.fix)}"
        if self.cost is not None:
            settings += f" ({self.cost})"
        remedies = [settings] * bool(self.fix) + [self.advice] * bool(self.advice)
        return f"{self.source}: {self.text}; {', or '.join(remedies)}"


class FatalIssueError(DataError):
    """An issue after which the rest of the file cannot be examined.

    Attributes:
        issue: The issue itself.
    """

    def __init__(self, issue: Issue) -> None:
        super().__init__(str(issue))
        self.issue = issue


@dataclass(frozen=True)
class Issues:
    """Everything that the steps from a file to a series report about it.

    Attributes:
        source: Path of the file that the next issues and repairs belong to.
        items: Issues that must be fixed before the file can be used, in the order in which they were noticed.
        repairs: Changes that were made to the rows, and assumptions about them, one sentence each.
        inferred: Settings that the user left open and that the cells decided, by name.
    """

    source: str
    items: list[Issue] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    inferred: dict[str, Any] = field(default_factory=dict)

    def of(self, source: str) -> "Issues":
        """Returns the same lists, to which reports about another file are added."""
        return Issues(source, self.items, self.repairs, self.inferred)

    def add(self, text: str, fix: Mapping[str, Any] | None = None, advice: str = "", cost: Cost | None = None) -> None:
        """Adds an issue; the step that reports it continues as well as it can.

        A fix whose cost is not cheap is moved to the end of the advice, so that it is never applied unless the user asks for it.
        """
        if fix and cost is not None and not cost.is_cheap:
            advice = f"{advice}{', or ' if advice else ''}accept {settings_text(fix)} ({cost})"
            self.items.append(Issue(self.source, text, {}, advice, accepted=fix))
            return
        self.items.append(Issue(self.source, text, fix or {}, advice, cost if fix else None))

    def fail(self, text: str, fix: Mapping[str, Any] | None = None, advice: str = "") -> NoReturn:
        """Raises `FatalIssueError`, because nothing remains that a later step could examine."""
        raise FatalIssueError(Issue(self.source, text, fix or {}, advice))

    def add_repair(self, text: str) -> None:
        """Adds a repair to the list, preceded by the path of the file."""
        self.repairs.append(f"{self.source}: {text}")

    def like(self) -> "Issues":
        """Returns empty lists for a part of the same file; settings that its cells decide are those of the file."""
        return Issues(self.source, inferred=self.inferred)

    def raise_last(self) -> NoReturn:
        """Raises the last issue that was added as one after which the rest cannot be examined."""
        raise FatalIssueError(self.items.pop())

    def merge(self, parts: Sequence["Issues"]) -> None:
        """Adds the issues and repairs of parts of the file: of those that several parts share in kind, the first with a count."""
        for items in zip_longest(*(part.items for part in parts)):
            present = [item for item in items if item is not None]
            first = present[0]
            more = f", and so have {len(present) - 1} others" if len(present) > 1 else ""
            self.items.append(replace(first, text=f"{first.text}{more}"))
        for texts in zip_longest(*(part.repairs for part in parts)):
            several = [text for text in texts if text is not None]
            self.repairs.append(several[0] + (f" (and {len(several) - 1} others)" if len(several) > 1 else ""))


def inline_yaml(value: Any) -> str:
    """Returns a value on one line as an override accepts it, such as `[note, host]`."""
    plain = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000_000, allow_unicode=True)
    plain = plain.removesuffix("\n").removesuffix("\n...")
    return plain if parse_overrides([f"value={plain}"]) == {"value": value} else json.dumps(value, ensure_ascii=False)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings of the section `data` as text, such as `data.missing=ffill`."""
    return " ".join(f"data.{name}={inline_yaml(value)}" for name, value in settings.items())


def typed(value: Any) -> str:
    """Returns a value as it is typed for a setting: a text as it is, unless it would be read as something else."""
    if not isinstance(value, str):
        return inline_yaml(value)
    plain = value.strip() == value and value.isprintable() and value not in {"", "~", "null"} and value[0] not in "\"'["
    return value if plain else _quoted(value)


def _quoted(text: str) -> str:
    """Returns a text in double quotes as YAML reads it, with escapes for all but printable ASCII."""
    escapes = {'"': '\\"', "\\": "\\\\", "\t": "\\t"}
    plain = {chr(code): chr(code) for code in range(32, 127)} | escapes
    return '"' + "".join(plain.get(char, f"\\U{ord(char):08x}") for char in text) + '"'


def assignments(settings: Mapping[str, Any]) -> str:
    """Returns settings of the section `data` as words for a shell, such as `--set data.missing=ffill`."""
    return " ".join(f"--set {shlex.quote(f'data.{name}={typed(value)}')}" for name, value in settings.items())


def merged_fixes(fixes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the settings of several fixes as one: lists are joined without repeats, of other values the first counts."""
    merged: dict[str, Any] = {}
    for fix in fixes:
        for name, value in fix.items():
            if isinstance(value, list) and isinstance(merged.get(name, []), list):
                merged[name] = list(dict.fromkeys([*merged.get(name, []), *value]))
            else:
                merged.setdefault(name, value)
    return merged
