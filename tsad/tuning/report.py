"""The report of a search as plain text: what was tried, what resulted, and how reliable the result is."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tsad.evaluation.registry import HEADLINES, column_name
from tsad.provenance import LabelsUsed
from tsad.selection.objective import OBJECTIVES
from tsad.selection.trial import State, Trial
from tsad.spec import flatten
from tsad.tuning.analysis import (
    MIN_PAIRS,
    MIN_TRIALS,
    best_of,
    correlations,
    drawn_at_random,
    importance,
    in_order,
    incumbents,
    mean_seconds,
    value_of,
    valued,
)
from tsad.tuning.niches import LOOKBACKS, niche_summaries
from tsad.tuning.pareto import comparable, front
from tsad.tuning.space import ChoiceParam, Space, param_names, param_values
from tsad.tuning.spec import SearchSpec

WIDTH = 120
"""Largest number of columns of the report."""
BEST = 10
"""Largest number of trials in the table of the best."""
NAME_LENGTH = 26
"""Largest number of characters of a name in a table."""
REASON_LENGTH = 300
"""Largest number of characters of the reason why a trial did not finish."""
_STATES: tuple[State, ...] = ("finished", "stopped", "failed")


def nas_report(trials: Sequence[Trial], spec: SearchSpec, space: Space, name: str) -> str:
    """Returns the report of a search as text of at most `WIDTH` columns.

    The sections are: summary, generations, incumbents, the best trials, niches if the search algorithm has any, the Pareto
    front if costs are minimized, importance of hyperparameters, rank correlation with test metrics and other objectives, random
    search at equal cost, trials that did not finish, and every configuration. A section that the trials cannot fill says why,
    or is left out if it does not apply (one generation, no failure).

    Args:
        trials: All trials that have ended, in any order; there may be none.
        spec: Settings of the search.
        space: Search space of the trials.
        name: Name of the search.
    """
    sections = {
        f"Search {name}": _head(trials, spec, space),
        "Generations": _generations(trials),
        "Incumbents": _incumbents(trials, space),
        f"The best {BEST}": _best(trials),
        "Niches": _niches(trials, spec),
        "Pareto front of value and costs": _front(trials, spec),
        "Importance of hyperparameters": _importance(trials, space),
        "Rank correlation of the maximized value": _correlations(trials),
        "Random search at equal cost": _random(trials, spec),
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
        "space": f"hyperparameters: {choices} choices, {len(space.params) - choices} ranges",
        "data": _listed(space.template.get("data", {})),
        "algorithm": f"{_listed(algorithm)}; seed {spec.seed}",
        "maximizes": f"{_listed(spec.maximize.model_dump(mode='json'))}; reads {_reads(spec.maximize.labels_used)}",
        "minimizes": ", ".join(spec.minimize) or "no costs",
        "trials": f"{len(trials)}{': ' if states else ''}{', '.join(states)}; {reused} reused from an earlier search",
        "time": f"{wall:.1f} s, {spec.parallel} in parallel{rate}",
        "best": f"{best.candidate.name} with {_number(best.value)}" if best else "none, because no trial finished",
    }
    return "\n".join(_wrapped(f"{row:<11}{text}", 11) for row, text in rows.items())


def _reads(labels_used: LabelsUsed) -> str:
    return "no label" if labels_used == "nothing" else f"the labels of the {labels_used} rows"


def _generations(trials: Sequence[Trial]) -> str:
    """Returns a row for each generation, an empty text if there is only one."""
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
    """Returns each incumbent with the hyperparameters in which it differs from the one before it."""
    best_so_far = incumbents(trials)
    if not best_so_far:
        return "No trial finished with a value."
    positions = {trial.candidate.number: position for position, trial in enumerate(in_order(trials), start=1)}
    lines = []
    for before, trial in pairwise([None, *best_so_far]):
        assert trial is not None  # noqa: S101
        when = f"trial {positions[trial.candidate.number]} to end, after {trial.elapsed:.1f} s"
        lines.append(_cut(f"{_number(trial.value):<9} {trial.candidate.name}  ({when})", WIDTH))
        now, then = (
            param_values(trial.candidate.params, space),
            param_values(before.candidate.params, space) if before else {},
        )
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
    note = "All metrics except the value are those of the test rows; the threshold of oracle/... was chosen with their labels."
    return f"{table}\n{note}"


def _niches(trials: Sequence[Trial], spec: SearchSpec) -> str:
    """Returns a row for each niche with a trial, an empty text if the search algorithm has no niches."""
    if spec.algorithm.kind != "map_elites" or not trials:
        return ""
    rows = [
        [_middle(family), memory, count, best and best.value, _middle(best.candidate.name) if best else "-"]
        for (family, memory), count, best in niche_summaries(trials)
    ]
    lookbacks = ", ".join(f"{memory} {rows_before}" for memory, rows_before in LOOKBACKS.items())
    note = f"Memory is the number of rows before a row that its score depends on: {lookbacks}."
    return f"{_table(['family', 'memory', 'trials', 'best', 'best trial'], rows)}\n{_wrapped(note)}"


def _front(trials: Sequence[Trial], spec: SearchSpec) -> str:
    """Returns the trials that no other beats in value and all costs, an empty text if no cost is minimized."""
    priced = [trial for trial in trials if all(name in trial.metrics for name in spec.minimize)]
    if not spec.minimize or not valued(priced):
        return ""
    rows = [
        [_middle(trial.candidate.name), trial.value, *(trial.metrics[name] for name in spec.minimize)]
        for trial in front(priced, spec.minimize)
    ]
    return _table(["trial", "value", *spec.minimize], rows)


def _importance(trials: Sequence[Trial], space: Space) -> str:
    explained, names = importance(trials, space), param_names(space)
    if not explained:
        count = len(valued(trials))
        return (
            f"Unknown: at least {MIN_TRIALS} finished trials with different values are needed, but there are {count}."
        )
    ordered = sorted(explained.items(), key=lambda item: -item[1].value)
    rows = [
        [
            _middle(names[address]),
            fraction.value,
            f"{fraction.low:.3f} to {fraction.high:.3f}",
            "#" * round(40 * max(0, fraction.value)),
        ]
        for address, fraction in ordered
    ]
    note = (
        "Fraction of the variance of the value's ranks that the hyperparameter explains: permutation importance of a random "
        "forest on held-out trials (Breiman 2001), with the 95 % interval of a bootstrap over trials. An interval that "
        "reaches 0 or below shows no effect. The result describes these trials: regions that the search left early have few."
    )
    return f"{_table(['param', 'importance', '95 %', ''], rows)}\n{_wrapped(note)}"


def _correlations(trials: Sequence[Trial]) -> str:
    of_value = correlations(trials)
    if not of_value:
        return f"Unknown: at least {MIN_PAIRS} finished trials with different values and test metrics are needed."
    others = {name: of for name in OBJECTIVES if (of := correlations(trials, name))}
    rows = [
        [column_name(name), r.value, f"{r.low:.3f} to {r.high:.3f}", n]
        + [of[name][0].value if name in of else None for of in others.values()]
        for name, (r, n) in of_value.items()
    ]
    note = (
        "Spearman's rank correlation of the maximized value with other metrics, over all finished trials, with a 95 % "
        "bootstrap interval. The metrics of the test rows were computed with test labels afterwards and chose nothing: a "
        "correlation near 0 means that the maximized value is a poor guide. objective/... is what other searches would "
        "maximize; its column shows the correlations of that objective."
    )
    return f"{_table(['metric', 'correlation', '95 %', 'trials', *others], rows)}\n{_wrapped(note)}"


def _random(trials: Sequence[Trial], spec: SearchSpec) -> str:
    """Returns the expected best of n random trials and the best of the first n trials of this search, by n."""
    pool = drawn_at_random(trials, spec)
    values = [trial.value if comparable(trial) else None for trial in pool]
    finished = len([value for value in values if value is not None])
    if not finished:
        return (
            "Unknown: no candidate that was drawn at random finished; run the random search algorithm for comparison."
        )
    sizes = sorted({2**power for power in range(len(pool).bit_length())} | {len(pool)})
    ended, rows = in_order(trials), []
    for size in sizes:
        best = best_of(values, size)
        own = max((trial.value for trial in valued(ended[:size]) if trial.value is not None), default=None)
        rows.append([size, best.value, f"{_number(best.low)} to {_number(best.high)}", own])
    total = sum(trial.seconds for trial in trials)
    mean = mean_seconds(pool)
    cost = f" In seconds, the {len(trials)} trials cost as much as {total / mean:.1f} random ones." if mean else ""
    note = (
        f"Estimated from the {len(pool)} candidates of this search that were drawn at random, {finished} of them finished: the "
        "exact expectation of the best of n of them, drawn without replacement, and an interval that holds it in 95 % of the "
        f"draws (a point where all are drawn). For more than {len(pool)}, run the random search algorithm as long.{cost}"
    )
    return f"{_table(['n', 'random', '95 %', 'this search'], rows)}\n{_wrapped(note)}"


def _unfinished(trials: Sequence[Trial]) -> str:
    """Returns how many trials were stopped and failed for each reason, and which."""
    groups: dict[tuple[State, str], list[int]] = {}
    for trial in sorted(trials, key=lambda trial: trial.candidate.number):
        if trial.state != "finished":
            reason = _cut(" ".join(trial.reason.split()) or "no reason given", REASON_LENGTH)
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
    """Yields number, generation, state, value, seconds, parents and hyperparameters of a trial."""
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
    params = param_values(candidate.params, space)
    yield from (f"{name}={value}" for name, value in params.items())
    if not params:
        yield candidate.family


# --- text ---


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns aligned columns: numbers and their headings to the right, text to the left."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    text = [any(isinstance(row[column], str) for row in rows) for column in range(len(head))]
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
    """Returns a name, without its middle if it is too long for a table; its end distinguishes it from others."""
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH // 2 - 1]}…{name[-NAME_LENGTH // 2 :]}"
