"""Issues of a file: what is wrong with it, the settings that fix it, and the repairs that were made while it was read."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from tsad.errors import DataError
from tsad.spec import parse_overrides


@dataclass(frozen=True)
class Issue:
    """One reason why a file cannot be used as it is, with the ways to fix it.

    Attributes:
        source: Path of the file.
        text: What is wrong, with column, row and cell; rows count from 0 below the header, lines of the file from 1.
        fix: Settings of the section `data` that solve the issue, by name; empty if only a change of the file does.
        advice: What else the user can do, in words; empty if there is nothing else.
    """

    source: str
    text: str
    fix: Mapping[str, Any]
    advice: str

    def __str__(self) -> str:
        settings = f"set {' '.join(f'data.{name}={inline_yaml(value)}' for name, value in self.fix.items())}"
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

    def add(self, text: str, fix: Mapping[str, Any] | None = None, advice: str = "") -> None:
        """Adds an issue; the step that reports it continues as well as it can."""
        self.items.append(Issue(self.source, text, fix or {}, advice))

    def fail(self, text: str, fix: Mapping[str, Any] | None = None, advice: str = "") -> NoReturn:
        """Raises `FatalIssueError`, because nothing remains that a later step could examine."""
        raise FatalIssueError(Issue(self.source, text, fix or {}, advice))

    def add_repair(self, text: str) -> None:
        """Adds a repair to the list, preceded by the path of the file."""
        self.repairs.append(f"{self.source}: {text}")


def inline_yaml(value: Any) -> str:
    """Returns a value on one line as an override accepts it, such as `[note, host]`."""
    plain = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000_000, allow_unicode=True)
    plain = plain.removesuffix("\n").removesuffix("\n...")
    return plain if parse_overrides([f"value={plain}"]) == {"value": value} else json.dumps(value, ensure_ascii=False)


def assignments(settings: Mapping[str, Any]) -> str:
    """Returns settings of the section `data` as words for a shell, such as `--set data.missing=ffill`."""
    return " ".join(f"--set {shlex.quote(f'data.{name}={inline_yaml(value)}')}" for name, value in settings.items())


def merged_fixes(fixes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the settings of several fixes as one: lists are joined without repeats, of other values the first counts."""
    merged: dict[str, Any] = {}
    for fix in fixes:
        for name, value in fix.items():
            if isinstance(value, list):
                merged[name] = list(dict.fromkeys([*merged.get(name, []), *value]))
            else:
                merged.setdefault(name, value)
    return merged
