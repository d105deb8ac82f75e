"""What was found in somebody's file: problems with the settings that mend them, and repairs that were made."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from tsad.errors import DataError
from tsad.spec import parse_overrides


@dataclass(frozen=True)
class Problem:
    """One thing that stands in the way.

    Attributes:
        source: The file.
        text: What is wrong, with column, row and cell; rows are counted from 0 below the header, lines of the file from 1.
        cure: Settings of `data` that mend it, by name; empty where only the file itself can be mended.
        way: What else to do, or instead.
    """

    source: str
    text: str
    cure: Mapping[str, Any]
    way: str

    def __str__(self) -> str:
        settings = f"set {' '.join(f'data.{name}={flow(value)}' for name, value in self.cure.items())}"
        ways = [settings] * bool(self.cure) + [self.way] * bool(self.way)
        return f"{self.source}: {self.text}; {', or '.join(ways)}"


class Blocked(DataError):  # noqa: N818 (what happened, not what went wrong)
    """A problem after which nothing more can be found.

    Attributes:
        problem: It.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Findings:
    """A list that the steps from a file to a series write to.

    Attributes:
        source: The file.
        problems: What has to be mended before the file can be used.
        repairs: What was mended, and what the reader took for granted, one sentence each.
        settled: Settings that were left open and that the cells decided, by name.
    """

    source: str
    problems: list[Problem] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    settled: dict[str, Any] = field(default_factory=dict)

    def about(self, source: str) -> "Findings":
        """Returns the same lists for what is found in another file."""
        return Findings(source, self.problems, self.repairs, self.settled)

    def problem(self, text: str, cure: Mapping[str, Any] | None = None, way: str = "") -> None:
        """Notes a problem; the step goes on as well as it can."""
        self.problems.append(Problem(self.source, text, cure or {}, way))

    def stop(self, text: str, cure: Mapping[str, Any] | None = None, way: str = "") -> NoReturn:
        """Raises `Blocked` with a problem after which there is nothing to go on with."""
        raise Blocked(Problem(self.source, text, cure or {}, way))

    def repaired(self, text: str) -> None:
        """Notes a repair."""
        self.repairs.append(f"{self.source}: {text}")


def flow(value: Any) -> str:
    """Returns a value as an override takes it, `[note, host]` for example."""
    plain = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1_000_000, allow_unicode=True)
    plain = plain.removesuffix("\n").removesuffix("\n...")
    return plain if parse_overrides([f"value={plain}"]) == {"value": value} else json.dumps(value, ensure_ascii=False)


def assignments(settings: Mapping[str, Any]) -> str:
    """Returns settings of `data` as words for a shell: `--set data.missing=ffill`."""
    return " ".join(f"--set {shlex.quote(f'data.{name}={flow(value)}')}" for name, value in settings.items())


def together(cures: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the settings of several cures as one; lists are joined, of other values the first counts."""
    found: dict[str, Any] = {}
    for cure in cures:
        for name, value in cure.items():
            if isinstance(value, list):
                found[name] = list(dict.fromkeys([*found.get(name, []), *value]))
            else:
                found.setdefault(name, value)
    return found
