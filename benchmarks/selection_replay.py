"""Rules that choose a champion, replayed on the scores that `suite.py` kept: nothing is trained.

    OMP_NUM_THREADS=1 python benchmarks/selection_replay.py [--measure] [--plot docs/images/selection_events.png]

`--measure` computes from the scores what the rules need. It writes `benchmarks/selection.parquet` (per series and detector:
VUS-PR alone and averaged with the default detector) and `selection_events.parquet` (the same on the rows behind the first 40 %
or 60 % of the test part, and average precision before them). Without it, only the tables are printed from these files.

Each table is a mean over series, then over domains. The default detector is the average of the members of
`experiments/default.yaml`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from suite import read_log

from tsad.detector.ensemble import REFERENCE_SIZE, surprisal
from tsad.evaluation.intervals import interval
from tsad.evaluation.pointwise import pr_auc
from tsad.evaluation.volume import volume_under_surface
from tsad.selection.evidence import LEAST_EVENTS, WEIGHT_OF_EVENTS, WEIGHT_OF_SIBLINGS
from tsad.series import runs
from tsad.workflows.context import read_settings

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
SERIES, EVENTS = HERE / "selection.parquet", HERE / "selection_events.parquet"
PLAIN = ("multiscale", "multiscale scaled", "linear", "ridge")
DEFAULT = (*PLAIN, "nearest neighbor", *(f"{name} normalized" for name in PLAIN))
AVERAGES = {
    "four": PLAIN,
    "four, normalized too": tuple(name for name in DEFAULT if name != "nearest neighbor"),
    "four and nearest neighbor": (*PLAIN, "nearest neighbor"),
    "default": DEFAULT,
    "seven": (*PLAIN, "nearest neighbor", "k-means", "l2"),
}
WEIGHTS = {"alone": 1.0, "half": 1 / 2, "third": 1 / 3}
"""Weight of a detector averaged with the default, by the name of its column."""


def surprisals(folder: Path) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Returns the surprisal of the test rows by detector, and their labels; without those of constant validation scores."""
    results: dict[str, Array] = {}
    labels = np.zeros(0, bool)
    for path in sorted(folder.glob("*.npz")):
        scores = np.load(path)
        labels = scores["labels"]
        reference = np.sort(scores["validation"][~np.isnan(scores["validation"])].astype(float))
        if len(reference) > REFERENCE_SIZE:
            reference = np.maximum.accumulate(np.quantile(reference, np.linspace(0, 1, REFERENCE_SIZE)))
        if len(reference) > 1 and reference[0] < reference[-1]:
            results[path.stem] = surprisal(scores["test"].astype(float), reference)
    return results, labels


def vus_pr(scores: Array, labels: NDArray[np.bool_], rows: int) -> float:
    known = ~np.isnan(scores)
    return volume_under_surface(scores[known], labels[known], 30 if rows <= 5000 else 100).pr


def mean(scores: dict[str, Array], names: tuple[str, ...]) -> Array:
    return np.asarray(np.mean([scores[name] for name in names if name in scores], axis=0))


def measured(series: str, scores: dict[str, Array], labels: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    """Yields a row per detector and average of one series."""
    default = mean(scores, DEFAULT)
    base = {"domain": series.split("/")[0], "series": series, "default": vus_pr(default, labels, len(labels))}
    for name, own in scores.items():
        blends = {
            key: vus_pr(weight * own + (1 - weight) * default, labels, len(labels)) for key, weight in WEIGHTS.items()
        }
        yield {**base, "detector": name, **blends}
    for name, members in AVERAGES.items():
        yield {**base, "detector": f"average: {name}", "alone": vus_pr(mean(scores, members), labels, len(labels))}


def measured_by_events(series: str, scores: dict[str, Array], labels: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    """Yields a row per detector and fraction, where both sides hold anomalies and normal rows."""
    default, size = mean(scores, DEFAULT), len(labels)
    scored = ~np.isnan(np.mean(list(scores.values()), axis=0))
    for fraction in (0.4, 0.6):
        cut = round(size * fraction)
        before = scored & (np.arange(size) < cut)
        after = scored & (np.arange(size) >= cut + min(64, size // 20))
        if not all(labels[rows].any() and not labels[rows].all() for rows in (before, after)):
            continue
        base = {
            "domain": series.split("/")[0],
            "series": series,
            "fraction": fraction,
            "events": len(runs(labels[before])),
        }
        for name, own in {"default": default, **scores}.items():
            blended = WEIGHT_OF_EVENTS * own + (1 - WEIGHT_OF_EVENTS) * default
            yield {
                **base,
                "detector": name,
                "precision": pr_auc(own[before], labels[before]),
                "alone": vus_pr(own[after], labels[after], size),
                "blended": vus_pr(blended[after], labels[after], size),
            }


def measure(folder: Path) -> None:
    series = read_log(folder)["series"].unique()
    loaded = {name: surprisals(folder / name) for name in series}
    rows = [row for name, (scores, labels) in loaded.items() if scores for row in measured(name, scores, labels)]
    pd.DataFrame(rows).to_parquet(SERIES)
    events = [
        row for name, (scores, labels) in loaded.items() if scores for row in measured_by_events(name, scores, labels)
    ]
    pd.DataFrame(events).to_parquet(EVENTS)


def averages(table: pd.DataFrame) -> None:
    """Prints what averages get, and what the best on seven domains gets on the eighth."""
    by_domain = table.pivot_table(index="detector", columns="domain", values="alone")
    chosen = [name for name in by_domain.index if name.startswith("average")]
    left_out = [
        by_domain.loc[by_domain.loc[chosen].drop(columns=domain).mean(axis=1).idxmax(), domain] for domain in by_domain
    ]
    by_domain["mean"] = by_domain.mean(axis=1, skipna=False)
    print("VUS-PR, mean of series by domain\n")
    print(by_domain.sort_values("mean", ascending=False).to_string(float_format="{:.3f}".format))
    print(f"\nbest average of the other domains, judged on each: {np.mean(left_out):.3f}")


def against_singles(table: pd.DataFrame) -> None:
    """Prints the default minus each single detector that ran on every series, paired by series, with 95 % intervals."""
    generator = np.random.default_rng(0)
    complete = (
        table[~table["detector"].str.startswith("average")]
        .groupby("detector")
        .filter(lambda group: group["domain"].nunique() == table["domain"].nunique())
    )
    print("\nVUS-PR of the default minus that of one detector for all series\n")
    for name, group in complete.groupby("detector"):
        parts = [(part["default"] - part["alone"]).to_numpy() for _, part in group.groupby("domain")]
        drawn = np.mean([generator.choice(part, (2000, len(part))).mean(axis=1) for part in parts], axis=0)
        print(f"{name:<30}{interval(float(np.mean([part.mean() for part in parts])), drawn)}")


def label_free(table: pd.DataFrame, logged: pd.DataFrame) -> None:
    """Prints what the best detector by each rule that reads no label gets minus the default, by its weight."""
    singles = logged.merge(table[~table["detector"].str.startswith("average")], on=["domain", "series", "detector"])
    print("\nVUS-PR minus the default, pick without labels\n")
    for rule in ("injection", "validation_error"):
        defined = singles.dropna(subset=[rule])
        best = defined.loc[defined.groupby("series")[rule].idxmax()]
        gains = best[[*WEIGHTS]].sub(best["default"], axis=0).groupby(best["domain"]).mean().mean()
        print(f"{rule:<20}{'  '.join(f'{key} {gain:.3f}' for key, gain in gains.items())}")


def siblings(table: pd.DataFrame) -> None:
    """Prints what the best detector on k other series of the domain gets minus the default, by its weight."""
    generator = np.random.default_rng(0)
    rows = []
    singles = table[~table["detector"].str.startswith("average")]
    for domain, group in singles.groupby("domain"):
        values = {key: group.pivot_table(index="series", columns="detector", values=key) for key in WEIGHTS}
        default = group.drop_duplicates("series").set_index("series")["default"]
        gains = values["alone"].sub(default, axis=0)
        for series in gains.index if len(gains) > 1 else ():
            others = [name for name in gains.index if name != series]
            for count in (1, 3, 10, len(others)):
                for _ in range(1 if count >= len(others) else 10):
                    drawn = list(generator.permutation(others)[:count])
                    advantage = gains.loc[drawn].mean()[values["alone"].loc[series].notna()]
                    best = advantage.idxmax()
                    gain = {
                        k: values[k].loc[series, best] - default[series] if advantage[best] > 0 else 0.0
                        for k in WEIGHTS
                    }
                    label = "all" if count == len(others) else str(count)
                    rows.append({"domain": domain, "series": series, "siblings": label, **gain})
    gain = pd.DataFrame(rows).groupby(["siblings", "domain", "series"])[[*WEIGHTS]].mean()
    means = gain.groupby(["siblings", "domain"]).mean().groupby("siblings").mean()
    worse = (gain < -0.05).groupby("siblings").mean().add_suffix(": worse by > .05")
    print(f"\nVUS-PR minus the default, pick by siblings (weight used: {WEIGHT_OF_SIBLINGS:.2f})\n")
    print(means.join(worse).to_string(float_format="{:.3f}".format))


def gains_by_events(table: pd.DataFrame) -> pd.DataFrame:
    """Returns what the best detector by labeled events gets minus the default, on the rows behind them."""
    rows = []
    for (fraction, series), group in table.groupby(["fraction", "series"]):
        default = group[group["detector"] == "default"].iloc[0]
        best = group.loc[group["precision"].idxmax()]
        rows.append(
            {
                "fraction": fraction,
                "domain": default["domain"],
                "series": series,
                "events": min(int(default["events"]), 4),
                "pick": best["alone"] - default["alone"],
                "blend": best["blended"] - default["alone"],
            }
        )
    return pd.DataFrame(rows)


def events(gains: pd.DataFrame) -> None:
    """Prints the gains by number of events, and those from `LEAST_EVENTS` on."""
    print("\nVUS-PR minus the default, pick by labeled events (4 stands for four or more)\n")
    summary = gains.groupby(["fraction", "events"])[["pick", "blend"]].agg(["mean", "count"])
    print(summary.to_string(float_format="{:.3f}".format))
    enough = gains[gains["events"] >= LEAST_EVENTS]
    generator = np.random.default_rng(0)
    for fraction, group in enough.groupby("fraction"):
        for rule in ("pick", "blend"):
            by_domain = [part[rule].to_numpy() for _, part in group.groupby("domain")]
            drawn = np.mean([generator.choice(part, (2000, len(part))).mean(axis=1) for part in by_domain], axis=0)
            center = np.mean([part.mean() for part in by_domain])
            print(f"{fraction:.0%}, {LEAST_EVENTS} or more events, {rule}: {interval(float(center), drawn)}")


def plot_events(gains: pd.DataFrame, path: Path) -> None:
    """Draws the mean gain by number of events, both fractions together, with bootstrap intervals over series."""
    generator = np.random.default_rng(0)
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color="0.4", linewidth=0.8)
    titles = {
        "pick": "the best by the events, alone",
        "blend": "averaged with the default (used from two on)",
    }
    for shift, (rule, title) in zip((-0.06, 0.06), titles.items(), strict=True):
        groups = {events: part[rule].to_numpy() for events, part in gains.groupby("events")}
        centers = np.array([values.mean() for values in groups.values()])
        drawn = [generator.choice(values, (2000, len(values))).mean(axis=1) for values in groups.values()]
        low, high = np.array([np.quantile(means, (0.025, 0.975)) for means in drawn]).T
        axes.errorbar(
            np.array([*groups]) + shift, centers, (centers - low, high - centers), marker="o", capsize=3, label=title
        )
    counts = gains.groupby("events").size()
    axes.set_xticks(counts.index, [f"{'4 or more' if n == 4 else n}\n({counts[n]} cases)" for n in counts.index])
    axes.set_xlabel("labeled events that choose")
    axes.set_ylabel("VUS-PR minus that of the default")
    figure.legend(frameon=False, loc="outside upper left", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def correlations(table: pd.DataFrame, logged: pd.DataFrame) -> None:
    """Prints the rank correlation over detectors of each rule with VUS-PR, mean of series by domain."""
    singles = table[~table["detector"].str.startswith("average")]
    rows = []
    for domain, group in singles.groupby("domain"):
        values = group.pivot_table(index="series", columns="detector", values="alone")
        for series in values.index:
            if len(values) > 1:
                rank = values.drop(series).mean().corr(values.loc[series], method="spearman")
                rows.append({"domain": domain, "rule": "siblings", "rank": rank})
    for (domain, _), group in logged.dropna(subset=["vus_pr"]).groupby(["domain", "series"]):
        for rule in ("injection", "validation_error"):
            defined = group.dropna(subset=[rule])
            if len(defined) > 5:
                rows.append(
                    {"domain": domain, "rule": rule, "rank": defined[rule].corr(defined["vus_pr"], method="spearman")}
                )
    ranks = pd.DataFrame(rows).pivot_table(index="rule", columns="domain", values="rank")
    ranks["mean"] = ranks.mean(axis=1)
    print("\nrank correlation with VUS-PR over detectors\n")
    print(ranks.to_string(float_format="{:.2f}".format))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="compute from the scores that suite.py kept")
    parser.add_argument("--plot", type=Path, help="PNG file for the gain by number of events")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(read_settings().output_dir / "suite")
    table = pd.read_parquet(SERIES)
    averages(table)
    against_singles(table)
    logged = pd.read_parquet(HERE / "suite.parquet")
    label_free(table, logged)
    siblings(table)
    gains = gains_by_events(pd.read_parquet(EVENTS))
    events(gains)
    if arguments.plot:
        plot_events(gains, arguments.plot)
    correlations(table, logged)


if __name__ == "__main__":
    sys.exit(main())
