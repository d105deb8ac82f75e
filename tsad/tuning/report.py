"""The report of a search: plain text that says what was tried, what came of it, and how far to believe it."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tsad.assessment.artifacts import HEADLINES, column_name
from tsad.provenance import LabelsUsed
from tsad.selection.trial import State, Trial
from tsad.spec import flatten
from tsad.tuning.analysis import (
    FEWEST,
    FEWEST_PAIRS,
    OBJECTIVES,
    best_of,
    correlations,
    drawn_at_random,
    importance,
    in_order,
    incumbents,
    mean_seconds,
    param_names,
    param_values,
    value_of,
    valued,
)
from tsad.tuning.pareto import comparable, front
from tsad.tuning.space import ChoiceParam, Space
from tsad.tuning.spec import SearchSpec

WIDTH = 120
"""Columns at most."""
BEST, CELL, REASON = 10, 26, 300
"""Trials in the table of the best; characters of a name in a table, and of a reason."""
_STATES: tuple[State, ...] = ("finished", "stopped", "failed")


def nas_report(trials: Sequence[Trial], spec: SearchSpec, space: Space, name: str) -> str:
    """Returns the report of a search as text of at most `WIDTH` columns.

    Head, generations, incumbents, the best, the front if costs are minimized, importance of hyperparameters, rank correlation with
    test metrics and other objectives, random at equal cost, trials that did not finish, every configuration. A section that
    the trials at hand do not fill says why, or is left out where there is nothing to miss (one generation, no failure).

    Args:
        trials: All that ended, in any order; none is allowed.
        spec: How they were chosen.
        space: What they were chosen from.
        name: Of the search.
    """
    sections = {
        f"Search {name}": _head(trials, spec, space),
        "Generations": _generations(trials),
        "Incumbents": _incumbents(trials, space),
        f"The best {BEST}": _best(trials),
        "Not beaten in value and costs at once": _front(trials, spec),
        "What the hyperparameters decide": _importance(trials, space),
        "Does the maximized value mean anything?": _correlations(trials),
        "Random at equal cost": _random(trials, spec),
        "Trials that did not finish": _unfinished(trials),
        "Every configuration": _configurations(trials, space),
    }
    written = [
        f"{_cut(title, WIDTH)}\n{'-' * min(len(title), WIDTH)}\n{body}" for title, body in sections.items() if body
    ]
    return "\n\n".join(written) + "\n"


# --- sections ---


def _head(trials: Sequence[Trial], spec: SearchSpec, space: Space) -> str:
    choices = sum(isinstance(param, ChoiceParam) for param in space.params.values())
    algorithm = spec.algorithm.model_dump(mode="json")
    states = [f"{count} {state}" for state in _STATES if (count := sum(trial.state == state for trial in trials))]
    reused = sum(bool(trial.reused) for trial in trials)
    wall = max((trial.elapsed for trial in trials), default=0.0)
    rate = f"; {(len(trials) - reused) / wall * 3600:.0f} trainings an hour" if wall else ""
    best = min(valued(trials), key=lambda trial: trial.rank, default=None)
    rows = {
        "space": f"hyperparameters: {choices} of choice, {len(space.params) - choices} of range",
        "data": _listed(space.template.get("data", {})),
        "algorithm": f"{_listed(algorithm)}; seed {spec.seed}",
        "maximizes": f"{_listed(spec.maximize.model_dump(mode='json'))}; reads {_reads(spec.maximize.labels_used)}",
        "minimizes": ", ".join(spec.minimize) or "nothing beside it",
        "trials": f"{len(trials)}{': ' if states else ''}{', '.join(states)}; {reused} reused from an earlier search",
        "time": f"{wall:.1f} s, {spec.parallel} side by side{rate}",
        "best": f"{best.candidate.name} with {_number(best.value)}" if best else "none, since no trial finished",
    }
    return "\n".join(_wrapped(f"{row:<11}{text}", 11) for row, text in rows.items())


def _reads(labels_used: LabelsUsed) -> str:
    return "no label" if labels_used == "nothing" else f"the labels of the {labels_used} rows"


def _generations(trials: Sequence[Trial]) -> str:
    """Returns a row for each generation, nothing if there is but one."""
    generations = sorted({trial.candidate.generation for trial in trials})
    if len(generations) < 2:
        return ""
    rows, best = [], float("-inf")
    for generation in generations:
        members = [trial for trial in trials if trial.candidate.generation == generation]
        values = [trial.value for trial in valued(members) if trial.value is not None]
        best = max([best, *values])
        counts = [sum(trial.state == state for trial in members) for state in _STATES]
        trained = sum(not trial.reused for trial in members)
        mean = sum(values) / len(values) if values else None
        rows.append([generation, trained, *counts, max(values, default=None), mean, best])
    return _table(["generation", "trained", *_STATES, "best", "mean", "best so far"], rows)


def _incumbents(trials: Sequence[Trial], space: Space) -> str:
    """Returns each incumbent with what is different in it from the one before it."""
    found = incumbents(trials)
    if not found:
        return "No trial finished with a value."
    places = {trial.candidate.number: place for place, trial in enumerate(in_order(trials), start=1)}
    lines = []
    for before, trial in pairwise([None, *found]):
        assert trial is not None  # noqa: S101
        when = f"trial {places[trial.candidate.number]} to end, after {trial.elapsed:.1f} s"
        lines.append(_cut(f"{_number(trial.value):<9} {trial.candidate.name}  ({when})", WIDTH))
        now, then = param_values(trial, space), param_values(before, space) if before else {}
        changes = [
            f"{param} {then.get(param, 'not used')} -> {now.get(param, 'not used')}"
            if before
            else f"{param} {now[param]}"
            for param in param_names(space).values()
            if now.get(param) != then.get(param)
        ]
        lines += [_wrapped(f"{'':10}{', '.join(changes)}", 10)] if changes else []
    return "\n".join(lines)


def _best(trials: Sequence[Trial]) -> str:
    finished = sorted(valued(trials), key=lambda trial: trial.rank)[:BEST]
    if not finished:
        return "No trial finished with a value."
    rows = [
        [_middle(trial.candidate.name), trial.value, *(trial.metrics.get(name) for name in HEADLINES)]
        for trial in finished
    ]
    table = _table(["trial", "value", *(column_name(name) for name in HEADLINES)], rows)
    return f"{table}\nAll but the value are of the test rows; oracle/... read their labels for its threshold too."


def _front(trials: Sequence[Trial], spec: SearchSpec) -> str:
    """Returns the trials that no other beats in value and all costs, nothing if no cost is minimized."""
    priced = [trial for trial in trials if all(name in trial.metrics for name in spec.minimize)]
    if not spec.minimize or not valued(priced):
        return ""
    rows = [
        [_middle(trial.candidate.name), trial.value, *(trial.metrics[name] for name in spec.minimize)]
        for trial in front(priced, spec.minimize)
    ]
    return _table(["trial", "value", *spec.minimize], rows)


def _importance(trials: Sequence[Trial], space: Space) -> str:
    found, names = importance(trials, space), param_names(space)
    if not found:
        return f"Unknown: it takes {FEWEST} finished trials of different worth, and there are {len(valued(trials))}."
    ordered = sorted(found.items(), key=lambda item: -item[1].value)
    rows = [
        [
            _middle(names[address]),
            share.value,
            f"{share.low:.3f} to {share.high:.3f}",
            "#" * round(40 * max(0, share.value)),
        ]
        for address, share in ordered
    ]
    note = (
        "Share of the variance of the value's ranks that goes with the hyperparameter: permutation importance of a random forest on "
        "held-out trials (Breiman 2001), with the 95 % interval of a bootstrap over trials. An interval that reaches 0 or "
        "below shows no effect. These trials alone speak: what the search left early is hardly seen."
    )
    return f"{_table(['param', 'importance', '95 %', ''], rows)}\n{_wrapped(note)}"


def _correlations(trials: Sequence[Trial]) -> str:
    found = correlations(trials)
    if not found:
        return (
            f"Unknown: it takes {FEWEST_PAIRS} finished trials that have a test metric and differ in it and in value."
        )
    others = {name: of for name in OBJECTIVES if (of := correlations(trials, name))}
    rows = [
        [column_name(name), r.value, f"{r.low:.3f} to {r.high:.3f}", n]
        + [of[name][0].value if name in of else None for of in others.values()]
        for name, (r, n) in found.items()
    ]
    note = (
        "Spearman's rank correlation of the maximized value with what else was measured, over all finished trials, with a 95 % "
        "bootstrap interval. The metrics of the test rows read test labels, afterwards, and chose nothing: a correlation "
        "near 0 means that the search was led by something else than what counts. objective/... is what other searches "
        "would maximize; its column is the correlation that it has itself."
    )
    return f"{_table(['metric', 'correlation', '95 %', 'trials', *others], rows)}\n{_wrapped(note)}"


def _random(trials: Sequence[Trial], spec: SearchSpec) -> str:
    """Returns random's expected best of n beside the best of this search's first n, for n up to all that were drawn."""
    pool = drawn_at_random(trials, spec)
    values = [trial.value if comparable(trial) else None for trial in pool]
    known = len([value for value in values if value is not None])
    if not known:
        return "Unknown: no candidate that was drawn at random (without parents) finished; run the random search algorithm beside it."
    sizes = sorted({2**power for power in range(len(pool).bit_length())} | {len(pool)})
    ended, rows = in_order(trials), []
    for size in sizes:
        best = best_of(values, size)
        own = max((trial.value for trial in valued(ended[:size]) if trial.value is not None), default=None)
        rows.append([size, best.value, f"{_number(best.low)} to {_number(best.high)}", own])
    total = sum(trial.seconds for trial in trials)
    mean = mean_seconds(pool)
    cost = f" In seconds, the {len(trials)} trials cost what {total / mean:.1f} random ones cost." if mean else ""
    note = (
        f"Estimated from the {len(pool)} candidates of this search that were drawn at random, {known} of them finished: the "
        "exact expectation of the best of n of them, drawn without replacement, and where it lies 95 times of 100, which "
        f"is a point where all are drawn. Of more than {len(pool)} they say nothing: run the random search algorithm as long.{cost}"
    )
    return f"{_table(['n', 'random', '95 %', 'this search'], rows)}\n{_wrapped(note)}"


def _unfinished(trials: Sequence[Trial]) -> str:
    """Returns how many trials were stopped and failed for each reason, and which."""
    groups: dict[tuple[State, str], list[int]] = {}
    for trial in sorted(trials, key=lambda trial: trial.candidate.number):
        if trial.state != "finished":
            reason = _cut(" ".join(trial.reason.split()) or "no reason given", REASON)
            groups.setdefault((trial.state, reason), []).append(trial.candidate.number)
    return "\n".join(
        _wrapped(f"{len(numbers):>4} {state}: {reason} ({_numbers(numbers)})", 5)
        for (state, reason), numbers in groups.items()
    )


def _configurations(trials: Sequence[Trial], space: Space) -> str:
    if not trials:
        return ""
    ordered = sorted(trials, key=lambda trial: trial.candidate.number)
    lines = [_wrapped("  ".join(_described(trial, space)), 6) for trial in ordered]
    return "\n".join(["trial, generation, state, value, seconds, parents, active hyperparameters", *lines])


def _described(trial: Trial, space: Space) -> Iterator[str]:
    """Yields what there is to say of a trial: number, generation, how it ended, parents, hyperparameters."""
    candidate = trial.candidate
    yield f"{candidate.number:>4}"
    yield f"g{candidate.generation:02d}"
    yield f"{trial.state:<8}"
    yield f"{_number(value_of(trial)):>8}"
    yield f"{trial.seconds:>6.1f} s"
    if trial.reused:
        yield "reused"
    if candidate.parents:
        yield f"of {' and '.join(map(str, candidate.parents))}:"
    params = param_values(trial, space)
    yield from (f"{name}={value}" for name, value in params.items())
    if not params:
        yield candidate.family


# --- text ---


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns aligned columns: numbers and their heads to the right, text to the left."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    text = [any(isinstance(row[place], str) for row in rows) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if left else f"{cell:>{width}}"
            for cell, width, left in zip(row, widths, text, strict=True)
        ).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else _number(value)


def _number(value: Any) -> str:
    """Returns a number with three decimals, or three digits if it is very large or small; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e5 else f"{value:.3g}"


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return f"{'trial' if len(numbers) == 1 else 'trials'} {shown}{', ...' if len(numbers) > 12 else ''}"


def _listed(values: Mapping[str, Any]) -> str:
    """Returns a section on one line, its kind first: `smd machine=2-1 every=4`."""
    leaves = flatten(values)
    kind = leaves.pop("kind", "")
    return " ".join([str(kind), *(f"{path}={value}" for path, value in leaves.items() if value is not None)]).strip()


def _wrapped(text: str, indent: int = 0) -> str:
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _middle(name: str) -> str:
    """Returns a name, its middle left out if it is too long for a table: its end tells it from others."""
    return name if len(name) <= CELL else f"{name[: CELL // 2 - 1]}…{name[-CELL // 2 :]}"
