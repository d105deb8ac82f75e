"""What the metrics of a report cost and say, beside TSB-AD's on the same scores; and how their cost grows with the rows.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--machine 1-2] [--repeats 3] [--rows 10000 30000 100000 300000 1000000]

Scores are the L2 norm of z-scores, the mean of 10 rows; flags are the scores above the 99th percentile of training scores.
Prints the median seconds of TSB-AD's `get_metrics` and of our `evaluate`, measured in turns, and their ratio; then each
metric by both. Ours computes the metrics of flags as well, TSB-AD is timed without them.

Rankings and metrics of flags are the same up to rounding. The best F1 is not: TSB-AD tries 100 thresholds in equal
steps between the extremes, we take every score, so ours is never lower. Without TSB-AD its part is left out:
`pip install --no-deps TSB-AD` is enough for these metrics.

Last, the seconds of `evaluate` over a growing number of rows, with the machine's labels repeated, and the exponent of the
power law that fits them: 1 is linear.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from tsad.data.dataset import DataSet
from tsad.data.scale import StandardScalerSpec
from tsad.data.sets.smd import SmdSpec
from tsad.evaluation.report import evaluate
from tsad.series import Series
from tsad.workflows.context import read_settings

OF_SCORES = {
    "AUC-ROC": "ranking/roc_auc",
    "AUC-PR": "ranking/pr_auc",
    "VUS-ROC": "ranking/vus_roc",
    "VUS-PR": "ranking/vus_pr",
    "Standard-F1": "oracle/best_f1",
    "PA-F1": "oracle/best_point_adjusted_f1",
    "Event-based-F1": "oracle/best_event_f1",
    "R-based-F1": "oracle/best_range_f1",
    "Affiliation-F": "oracle/best_affiliation_f1",
}
OF_FLAGS = {
    "Standard-F1": "point/f1",
    "PA-F1": "point_adjusted/f1",
    "Event-based-F1": "event/f1",
    "R-based-F1": "range/f1",
    "Affiliation-F": "affiliation/f1",
}
"""Our names of metrics by theirs."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="1-2", help="of SMD")
    parser.add_argument("--repeats", type=int, default=3, help="calls of each, of which the median counts")
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    arguments = parser.parse_args()
    data = SmdSpec(kind="smd", machine=arguments.machine).load(read_settings().data_dir)
    compare(data, arguments.repeats)
    if arguments.rows:
        grow(data.test.labels, arguments.rows, arguments.repeats)


def compare(data: DataSet, repeats: int) -> None:
    """Prints times and values of both on the test rows."""
    scores, flags, labels = scored(data)
    ours = partial(evaluate, scores, flags, labels)
    metrics = ours().metrics
    print(f"{data.name}: {len(scores)} rows, {labels.sum()} anomalous, {flags.sum()} flagged\n")
    theirs = tsb_ad()
    if theirs is None:
        print(f"ours {median_seconds([ours], repeats)[0]:.3f} s; TSB-AD is not installed: pip install --no-deps TSB-AD")
        print(*(f"{name:38} {metrics.get(name, np.nan):.9f}" for name in (OF_SCORES | OF_FLAGS).values()), sep="\n")
        return
    numbers = scores, labels.astype(int)
    of_scores = partial(theirs.get_metrics, *numbers)
    their_seconds, our_seconds = median_seconds([of_scores, ours], repeats)
    print(f"TSB-AD {their_seconds:.3f} s, ours {our_seconds:.3f} s: {their_seconds / our_seconds:.0f} times as fast")
    show("scores, or their best threshold", of_scores(), metrics, OF_SCORES)
    show("flags", theirs.get_metrics_pred(*numbers, flags.astype(int)), metrics, OF_FLAGS)


def scored(data: DataSet) -> tuple[Floats, Flags, Flags]:
    """Returns scores, flags and labels of the test rows that have nine rows before them."""
    scaler = StandardScalerSpec().fit(data.train)

    def scores(series: Series) -> Floats:
        lengths = np.linalg.norm(scaler.apply(series).values.astype(np.float64), axis=1)
        return np.convolve(lengths, np.full(10, 1 / 10), mode="valid")

    of_test = scores(data.test)
    return of_test, of_test > np.percentile(scores(data.train), 99), data.test.labels[9:]


def tsb_ad() -> ModuleType | None:
    """Returns its module of metrics, or None if it is not there; turns off its warnings of thresholds without a flag."""
    try:
        from TSB_AD.evaluation import metrics
    except ModuleNotFoundError:
        return None
    warnings.filterwarnings("ignore", module="sklearn")
    return metrics


def median_seconds(calls: list[Callable[[], object]], repeats: int) -> Floats:
    """Returns the median seconds of each call, all called in turn, so that a slow minute of the machine meets them all."""
    seconds = np.empty((repeats, len(calls)))
    for turn in seconds:
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            turn[place] = time.perf_counter() - start
    return np.median(seconds, axis=0)


def show(title: str, theirs: Mapping[str, float], ours: Mapping[str, float], names: Mapping[str, str]) -> None:
    print(f"\n{f'of {title}':32} {'TSB-AD':>12} {'ours':>12} {'difference':>11}")
    for their_name, name in names.items():
        value = ours.get(name, np.nan)
        print(f"{name:32} {theirs[their_name]:12.9f} {value:12.9f} {value - theirs[their_name]:11.1e}")


def grow(labels: Flags, rows: list[int], repeats: int) -> None:
    """Prints the seconds of `evaluate` at each number of rows, and the exponent."""
    print(f"\n{'rows':>9} {'seconds':>9}")
    generator, seconds = np.random.default_rng(0), []
    for count in rows:
        repeated = np.resize(labels, count)
        scores = generator.standard_normal(count) + 2 * repeated
        call = partial(evaluate, scores, scores > np.percentile(scores, 99), repeated)
        seconds.append(median_seconds([call], repeats)[0])
        print(f"{count:9} {seconds[-1]:9.3f}")
    if len(rows) > 1:
        print(f"exponent {np.polyfit(np.log(rows), np.log(seconds), 1)[0]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
