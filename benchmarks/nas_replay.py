"""Every search algorithm on a space that was tabulated whole: how far the best it has found is behind the best there is.

    OMP_NUM_THREADS=1 python benchmarks/nas_replay.py --repeats 200 --processes 2 --plot nas_replay.png
    OMP_NUM_THREADS=1 python benchmarks/nas_replay.py --landscapes 20

A search is replayed by looking its candidates up in the table of benchmarks/nas_table.py. Regret is the best value of the
table minus the best found so far, in units of the table's best minus its median, so that data sets count equally: 0 is the
best configuration, 1 an average one. Regret in the test metric is that of the configuration a search would have crowned,
against the best test metric of the table, in the same units. Configurations that are the same training are tried once, as
in a search. `expected` is what random search comes to on average, over 20,000 orders of the configurations. Bands are 95 %
intervals of the mean over repeats; pairs share seed and data set. With --parallel 2, two candidates are out at any time and
end after their measured seconds. With --landscapes, functions of the hyperparameters are drawn in place of the table.
"""

import argparse
import heapq
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tsad.selection.trial import Trial
from tsad.spec import flatten, read_yaml
from tsad.tuning.algorithms import AlgorithmSpec
from tsad.tuning.algorithms.aging import AgingSpec
from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.grid import combinations
from tsad.tuning.algorithms.optuna import OptunaSpec
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.space import Space

HERE = Path(__file__).resolve().parent
SPACE = HERE.parent / "search_spaces" / "recurrent_288.yaml"
ALGORITHMS: Mapping[str, AlgorithmSpec] = {
    "random": RandomSpec(kind="random"),
    "aging": AgingSpec(kind="aging"),
    "nsga2": OptunaSpec(kind="optuna", sampler="nsga2"),
    "tpe": OptunaSpec(kind="optuna"),
    "evolution, no surrogate": EvolutionSpec(surrogate="none"),
    "evolution": EvolutionSpec(),
}
"""All but the grid, whose one order says nothing."""
RIVALS = ("random", "tpe")
SHOWN = (8, 16, 32, 64)
BUDGET = 64
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """What every configuration of a space is worth on one data set.

    Attributes:
        name: Of the data set.
        space: The space, all of whose hyperparameters are active in every configuration.
        value: Shape (configurations,); what is maximized, in the order of `combinations`.
        test: Shape (configurations,); the test metric.
        seconds: Shape (configurations,); how long each took.
        training: Shape (configurations,); its training, from 0 on. Equal trainings have equal values.
    """

    name: str
    space: Space
    value: Floats
    test: Floats
    seconds: Floats
    training: Places


def main() -> None:
    arguments = read_arguments()
    values = read_yaml(SPACE)
    values.pop("search", None)
    space = Space(values)
    if arguments.landscapes:
        tables = list(landscapes(space, arguments.landscapes))
    else:
        tables = read_tables(arguments.table, space, arguments.value, arguments.test)
    names = [name for name in ALGORITHMS if name in (arguments.only or ALGORITHMS)]
    jobs = [(name, table, seed, arguments) for name in names for table in tables for seed in range(arguments.repeats)]
    with ProcessPoolExecutor(arguments.processes) as pool:
        found = iter(pool.map(_job, jobs, chunksize=4))
        places = {
            (name, table.name): np.stack([next(found) for _ in range(arguments.repeats)])
            for name in names
            for table in tables
        }
    curves = {
        kind: {key: regrets(table, places[key], kind) for table in tables for key in places if key[1] == table.name}
        for kind in ("value", "test")
    }
    report(tables, curves, arguments.repeats)
    if arguments.plot:
        draw(tables, curves["value"]).savefig(arguments.plot, dpi=120)


def read_tables(path: Path, space: Space, value: str, test: str) -> list[Table]:
    """Returns a table for each data set of a parquet file; raises `ValueError` if a configuration is missing."""
    wanted = pd.DataFrame(
        {address.split(".")[-1]: flatten(space.resolve(params)[0])[address] for address in space.params}
        for params in combinations(space, {})
    )
    training = trainings(space)
    tables = []
    for name, rows in pd.read_parquet(path).groupby("data"):
        found = wanted.merge(rows, how="left", on=list(wanted.columns), validate="one_to_one")
        missing = int(found[value].isna().sum())
        if missing:
            raise ValueError(f"{path}: a table must have all {len(wanted)} configurations, but {name} lacks {missing}")
        columns = (found[column].to_numpy(dtype=float) for column in (value, test, "cost/seconds"))
        tables.append(Table(str(name), space, *columns, training))
    return tables


def trainings(space: Space) -> Places:
    """Returns the number of the training of every configuration, in the order of `combinations`."""
    factory = CandidateFactory(space, seed=0)
    return np.array([factory.admit(params)[0].number for params in combinations(space, {})])


def landscapes(space: Space, count: int) -> Iterator[Table]:
    """Yields tables of four families: additive hyperparameters, with pairs, a rotated bowl on ladders, a slope with a cliff."""
    places = np.array([list(params.values()) for params in combinations(space, {})])
    ladder = places / np.maximum(places.max(axis=0), 1)
    _, first, training = np.unique(trainings(space), return_index=True, return_inverse=True)
    params = places.shape[1]
    for family in ("additive", "pairs", "bowl", "cliff"):
        for seed in range(count):
            generator = np.random.default_rng([seed, len(family)])
            weights = params * generator.dirichlet(np.full(params, 0.8))
            noise = 0.15 * generator.standard_normal(len(places))
            if family == "bowl":
                turned = (ladder - generator.random(params)) @ (
                    generator.standard_normal((params, params)) * weights[:, None]
                )
                values = -np.square(turned).sum(axis=1)
            elif family == "cliff":
                slope, edge = (ladder * weights @ generator.standard_normal((params, 2))).T
                values = np.where(edge > np.quantile(edge, 0.6), slope.min() - 3 * slope.std(), slope)
            else:
                values = sum(weights[param] * generator.standard_normal(9)[places[:, param]] for param in range(params))
                for one in range(params if family == "pairs" else 0):
                    for other in range(one):
                        effect = np.sqrt(weights[one] * weights[other]) * generator.standard_normal((9, 9))
                        values += 0.6 * effect[places[:, one], places[:, other]]
            values = (values / values.std() + noise)[first[training]]
            yield Table(f"{family} {seed}", space, values, values, np.ones(len(values)), training)


def _job(job: tuple[str, Table, int, argparse.Namespace]) -> Places:
    name, table, seed, arguments = job
    return replay(ALGORITHMS[name], table, seed, arguments.trials, arguments.parallel)


def replay(spec: AlgorithmSpec, table: Table, seed: int, trials: int, parallel: int) -> Places:
    """Returns the places in the table of the configurations that a search tries, in the order of their ending."""
    algorithm, order = spec.build(table.space, seed), {}
    for place, params in enumerate(combinations(table.space, {})):
        order[tuple(params.items())] = place
    running: list[tuple[float, int, int, Any]] = []
    ended, clock, started = [], 0.0, 0
    while len(ended) < trials:
        while len(running) < parallel and started < trials and (candidate := algorithm.suggest()) is not None:
            place = order[tuple((address, candidate.params[address]) for address in table.space.params)]
            heapq.heappush(running, (clock + table.seconds[place], candidate.number, place, candidate))
            started += 1
        clock, _, place, candidate = heapq.heappop(running)
        algorithm.update(Trial(candidate, "finished", float(table.value[place]), float(table.seconds[place])))
        ended.append(place)
    return np.array(ended)


def regrets(table: Table, places: Places, kind: str) -> Floats:
    """Returns the scaled regret of the best so far, by `value`, or of it in `test`; shape (repeats, trials)."""
    found = table.value[places]
    best = np.array([[row[: count + 1].argmax() for count in range(len(row))] for row in found])
    crowned = np.take_along_axis(places, best, axis=1)
    worth = getattr(table, kind)
    return np.asarray((worth.max() - worth[crowned]) / _unit(worth))


def expected_random(table: Table, trials: int, orders: int = 20_000) -> Floats:
    """Returns the scaled regret of random search after 1, 2, ... trials, shape (trials,), averaged over so many orders.

    A training comes when the first of its configurations is drawn, so one of four comes four times as readily.
    """
    _, first, count = np.unique(table.training, return_index=True, return_counts=True)
    # the least of n uniform numbers has the distribution of 1 - u ** (1 / n)
    arrival = 1 - np.random.default_rng(0).random((orders, len(first))) ** (1 / count)
    best = np.maximum.accumulate(table.value[first][np.argsort(arrival, axis=1)[:, :trials]], axis=1)
    return np.asarray((table.value.max() - best.mean(axis=0)) / _unit(table.value))


def _unit(values: Floats) -> float:
    return float(values.max() - np.median(values))


def report(tables: Sequence[Table], curves: Mapping[str, Mapping[tuple[str, str], Floats]], repeats: int) -> None:
    """Prints a table for every data set, unless they are many, and one over all."""
    groups = {table.name: [table] for table in tables} if len(tables) <= 8 else {}
    for title, group in (groups | {f"all {len(tables)} data sets": list(tables)}).items():
        print(f"\n{title}: mean regret of {repeats} repeats, 0 is the best of the table and 1 its median\n")
        print(summary(group, curves).to_string())


def summary(tables: Sequence[Table], curves: Mapping[str, Mapping[tuple[str, str], Floats]]) -> pd.DataFrame:
    """Returns a row per search algorithm: regrets averaged over the data sets, repeat by repeat."""
    mean = {
        kind: {
            name: np.mean([found[name, table.name] for table in tables], axis=0)
            for name in dict.fromkeys(name for name, _ in found)
        }
        for kind, found in curves.items()
    }
    trials = next(iter(mean["value"].values())).shape[1]
    shown = [count for count in SHOWN if count <= trials]
    middle = shown[-2:][0]
    expected = np.mean([expected_random(table, max(trials, BUDGET)) for table in tables], axis=0)
    rows = {"expected": {f"at {count}": f"{expected[count - 1]:.3f}" for count in shown}}
    for name, curve in mean["value"].items():
        reached = np.flatnonzero(curve.mean(axis=0) <= expected[BUDGET - 1])
        rows[name] = {f"at {count}": interval(curve[:, count - 1]) for count in shown}
        rows[name] |= {f"reaches random's {BUDGET}": str(reached[0] + 1) if reached.size else f"> {trials}"}
        for rival in RIVALS:
            if rival in mean["value"] and rival != name:
                gap = curve[:, middle - 1] - mean["value"][rival][:, middle - 1]
                rows[name][f"minus {rival}, at {middle}"] = interval(gap)
        rows[name][f"test, at {shown[-1]}"] = interval(mean["test"][name][:, shown[-1] - 1])
    columns = dict.fromkeys(column for row in reversed(rows.values()) for column in row)
    return pd.DataFrame(rows).T.reindex(columns=list(columns)).fillna("")


def interval(sample: Floats) -> str:
    """Returns mean and half the width of its 95 % interval."""
    return f"{sample.mean():.3f} +- {1.96 * sample.std(ddof=1) / np.sqrt(len(sample)):.3f}"


def draw(tables: Sequence[Table], curves: Mapping[tuple[str, str], Floats]) -> Figure:
    """Returns mean regret over trials with its band, a panel per data set."""
    figure = Figure(figsize=(1 + 4 * len(tables), 3.8), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(tables), sharey=True))
    for axes, table in zip(panels, tables, strict=True):
        for place, name in enumerate(dict.fromkeys(name for name, _ in curves)):
            curve = curves[name, table.name]
            trials, mean = np.arange(1, curve.shape[1] + 1), curve.mean(axis=0)
            band = 1.96 * curve.std(axis=0, ddof=1) / np.sqrt(len(curve))
            axes.plot(trials, mean, color=f"C{place}", label=name)
            axes.fill_between(trials, mean - band, mean + band, color=f"C{place}", alpha=0.15, linewidth=0)
        axes.plot(trials, expected_random(table, len(trials)), "--", color="gray", label="random, expected")
        axes.set(title=table.name, xlabel="trials", yscale="log", ylim=(0.003, 1.5))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6")
    panels[0].set_ylabel("regret (0 best, 1 median)")
    panels[-1].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=HERE / "nas_288.parquet")
    parser.add_argument("--landscapes", type=int, default=0, help="functions of each family, in place of the table")
    parser.add_argument("--value", default="value", help="column that is maximized: value or validation_error")
    parser.add_argument("--test", default="ranking/vus_pr", help="column that is regretted beside it")
    parser.add_argument("--only", nargs="+", choices=ALGORITHMS)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=1, help="candidates that are out at any time")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
