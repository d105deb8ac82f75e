"""Anchors: experiments that a search tries first: the detector to beat, its members, closed forms of other families."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec, split
from tsad.default_detector import default_detector, within
from tsad.errors import TsadError
from tsad.lengths import filled, lengths, reach
from tsad.selection.trial import DEFAULT, Candidate, fingerprint
from tsad.spec import parse

AnchorSet = Literal["default", "members", "families"]
"""Ready-made anchors: the default detector, each of its members alone, families of closed forms that are no member."""

_SMOOTH = {"smooth": {"kind": "mean", "length": "auto"}}
_FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "k_means": {
        "window": {"length": 16},
        "model": {"kind": "k_means"},
        "scoring": {"over": "window", "compress": "log1p"},
    },
    "ridge scaled": {
        "window": {"length": 6},
        "model": {"kind": "autoregressive_ridge"},
        "scoring": {"compress": "root", "scale": "validation", **_SMOOTH},
    },
    "linear scaled": {
        "window": {"length": 16},
        "model": {"kind": "window_linear", "components": "auto"},
        "scoring": {"over": "window", "compress": "log1p", "scale": "validation"},
    },
    "l2": {"window": {"length": 1}, "model": {"kind": "l2"}, "scoring": _SMOOTH},
}
_SHORT = {
    "multiscale_linear": "multiscale",
    "window_linear": "linear",
    "autoregressive_ridge": "ridge",
}


def anchors(
    sets: Sequence[AnchorSet | Mapping[str, Any]], space: Mapping[str, Any], data: DataSet, limit: int
) -> tuple[tuple[Candidate, ...], int]:
    """Returns the anchors of a search, and the number of rows that the longest of their scores looks at.

    Anchors whose scores look at more rows than the parts of the data allow are left out, and so are such members of the
    default detector.

    Args:
        sets: Ready-made anchors by name, and sections of experiments, in the order in which they are tried.
        space: Template of the search space; anchors share its data, split and seed.
        data: Rows of the search.
        limit: Largest number of anchors.

    Raises:
        SpecError: if sections make no valid experiment.
    """
    size = lengths(data)
    named = {name: filled(values, size) for name, values in _named(sets)}
    rows = _longest(sorted({row for values in named.values() for row in _reaches(values)}), space, data)
    gap = max(rows, _gap(space))
    shared = {"data": space["data"], "split": {**space.get("split", {}), "gap": gap}}
    threshold = space.get("threshold")
    if threshold is not None and not _has_hyperparameters(threshold):
        shared["threshold"] = threshold
    seed = space.get("seed", 0)
    candidates: list[Candidate] = []
    for name, values in named.items():
        suited = within(values, rows) if "members" in values else values if reach(values) <= rows else None
        if suited is None or len(candidates) == limit:
            continue
        own = {
            "threshold": default_detector()["threshold"],
            **suited,
            **shared,
            "seed": seed if isinstance(seed, int) else 0,
        }
        experiment = parse(ExperimentConfig, own, f"search.anchors: {name}")
        if all(experiment != candidate.experiment for candidate in candidates):
            candidates.append(Candidate(len(candidates), 0, {}, experiment, anchor=name))
    return tuple(candidates), max((candidate.experiment.lookback + 1 for candidate in candidates), default=0)


def _named(sets: Sequence[AnchorSet | Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and the sections of each anchor."""
    for item in sets:
        if item == "default":
            yield DEFAULT, default_detector()
        elif item == "members":
            yield from ((_name(member), member) for member in default_detector()["members"])
        elif item == "families":
            yield from ((name, dict(values)) for name, values in _FAMILIES.items())
        elif isinstance(item, Mapping):
            yield f"own-{fingerprint(item)[:8]}", dict(item)


def _name(member: Mapping[str, Any]) -> str:
    """Returns the name of a member, such as `linear normalized`."""
    kind, scoring = member["model"]["kind"], member.get("scoring", {})
    words = [_SHORT.get(kind, kind)]
    words += ["scaled"] if scoring.get("scale") == "validation" else []
    words += ["normalized"] if "normalization" in scoring else []
    return " ".join(words)


def _reaches(values: Mapping[str, Any]) -> set[int]:
    return {reach(member) for member in values["members"]} if "members" in values else {reach(values)}


def _longest(reaches: Sequence[int], space: Mapping[str, Any], data: DataSet) -> int:
    """Returns the largest of ascending numbers of rows such that each part of the data suffices; 0 if none does.

    The validation rows are three times as many, so that injected anomalies have room between rows that only serve as the
    past or the future of others.
    """
    for rows in reversed(reaches):
        try:
            settings = parse(SplitSpec, {**space.get("split", {}), "gap": max(rows, _gap(space))}, "split")
            parts = split(data, settings, rows)
        except TsadError:
            continue
        if max(after - first for first, after in parts.validation.segments()) >= 3 * rows:
            return rows
    return 0


def _has_hyperparameters(values: Any) -> bool:
    if not isinstance(values, Mapping):
        return False
    return bool({"choice", "range"} & values.keys()) or any(map(_has_hyperparameters, values.values()))


def _gap(space: Mapping[str, Any]) -> int:
    return int(space.get("split", {}).get("gap", SplitSpec().gap))
