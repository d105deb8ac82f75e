"""Closed-form detectors on labeled series of several domains: what each gets, with every score kept for `selection_replay.py`.

    OMP_NUM_THREADS=1 python benchmarks/suite.py [--domains asd skab ...] [--only multiscale ...] [--table]

A domain is a folder of `suite/` in the data folder, with `NAME.train.parquet` and `NAME.test.parquet` (column `label`) for each
series; `smd` is the twelve machines of `smd.py`. Lengths follow from the rows (`tsad.lengths`), so no setting belongs to a
domain. A run that is logged in the output folder is not repeated; `--table` only reads what is logged.

Averages: series of a domain first, domains then. Intervals are bootstraps over the series within each domain. VUS-PR has a
buffer of 30 rows where the test part has 5,000 rows or fewer, else of 100.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from smd import MACHINES

from tsad.config import ExperimentConfig
from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.errors import DataError
from tsad.evaluation.pointwise import pr_auc
from tsad.evaluation.volume import volume_under_surface
from tsad.experiment import Outcome, run
from tsad.lengths import Lengths, lengths
from tsad.selection.objective import LabelFreeSpec, ValidationErrorSpec
from tsad.spec import Spec, parse, put
from tsad.workflows.context import read_settings

LOG = "suite.jsonl"


def _multiscale(size: Lengths, **scoring: object) -> dict[str, Any]:
    return {
        "window": {"length": size.window},
        "model": {"kind": "multiscale_linear", "halvings": 3, "components": 4},
        "scoring": {"error": "absolute", **scoring},
    }


def _linear(length: int = 16, components: int = 16, **scoring: object) -> dict[str, Any]:
    return {
        "window": {"length": length},
        "model": {"kind": "window_linear", "components": components},
        "scoring": {"over": "window", "compress": "log1p", **scoring},
    }


def _single(kind: str, size: Lengths, length: int = 1, **scoring: object) -> dict[str, Any]:
    smooth = {"kind": "mean", "length": size.smoothing}
    return {"window": {"length": length}, "model": {"kind": kind}, "scoring": {"smooth": smooth, **scoring}}


def _k_means() -> dict[str, Any]:
    return {"window": {"length": 16}, "model": {"kind": "k_means"}, "scoring": {"over": "window", "compress": "log1p"}}


SCALED = {"scale": "validation"}
DETECTORS: Mapping[str, Callable[[Lengths], dict[str, Any]]] = {
    "multiscale": _multiscale,
    "multiscale scaled": lambda size: _multiscale(size, **SCALED),
    "multiscale smoothed": lambda size: _multiscale(size, smooth={"kind": "mean", "length": size.smoothing}),
    "linear": lambda size: _linear(),
    "linear scaled": lambda size: _linear(**SCALED),
    "linear long": lambda size: _linear(size.window),
    "linear narrow": lambda size: _linear(components=4),
    "ridge": lambda size: _single("autoregressive_ridge", size, 6, compress="root"),
    "ridge scaled": lambda size: _single("autoregressive_ridge", size, 6, compress="root", **SCALED),
    "ridge raw": lambda size: _single("autoregressive_ridge", size, 6, compress="root", smooth={"kind": "none"}),
    "k-means": lambda size: _k_means(),
    "nearest neighbor": lambda size: _single("nearest_neighbor", size, compress="log1p"),
    "l2": lambda size: _single("l2", size),
    "largest z": lambda size: _single("l2", size, error="absolute", features="max"),
    "pca": lambda size: _single("pca_error", size, compress="log1p"),
    "isolation forest": lambda size: _single("isolation_forest", size, compress="log1p"),
}
NORMALIZED = ("multiscale", "multiscale scaled", "linear", "ridge", "k-means")
"""Detectors that also run with the rolling normalization, where the rows suffice for one."""


class _DataOnly(Spec):
    data: DataSpec


def domains(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the `data` section of each series by domain and name."""
    sections: dict[str, dict[str, dict[str, Any]]] = {
        "smd": {f"smd/{m}": {"kind": "smd", "machine": m} for m in MACHINES}
    }
    for path in sorted((folder / "suite").glob("*/*.train.parquet")):
        test = path.with_name(path.name.replace(".train.", ".test."))
        section = {"kind": "csv", "path": str(path), "test_path": str(test), "label": "label"}
        if "time" in pd.read_parquet(path).columns:
            section["time"] = "time"
        name = f"{path.parent.name}/{path.name.split('.')[0]}"
        sections.setdefault(path.parent.name, {})[name] = section
    return sections


def configs(size: Lengths) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name and the sections of each detector that fits rows of these lengths."""
    for name, make in DETECTORS.items():
        yield name, make(size)
    if size.normalization is not None:
        rolling = {"kind": "rolling_median", "length": size.normalization}
        for name in NORMALIZED:
            yield f"{name} normalized", put(DETECTORS[name](size), {"scoring.normalization": rolling})


def measured(outcome: Outcome, edge: int) -> dict[str, Any]:
    """Returns the test metrics of an outcome, and the label-free objectives that are defined."""
    scores = outcome.test.values[outcome.parts.reported]  # noqa: PD011
    labels = np.asarray(outcome.parts.test.labels)[outcome.parts.reported]
    known = ~np.isnan(scores)
    buffer = 30 if len(labels) <= 5000 else 100
    figures: dict[str, Any] = {
        "vus_pr": volume_under_surface(scores[known], labels[known], buffer).pr,
        "pr_auc": pr_auc(scores[known], labels[known]),
        "seconds": outcome.seconds,
        "unscored": int((~known).sum()),
    }
    objectives = {
        "injection": LabelFreeSpec(kind="label_free", edge=edge),
        "validation_error": ValidationErrorSpec(kind="validation_error"),
    }
    for name, objective in objectives.items():
        try:
            figures[name] = objective.value(outcome)
        except DataError:
            figures[name] = None
    return figures


def measure(
    section: dict[str, Any], data: DataSet, only: tuple[str, ...], done: set[str], folder: Path
) -> Iterator[dict[str, Any]]:
    """Yields a row per detector of one series that is not logged yet; keeps its scores in `folder`."""
    size = lengths(data)
    gap = size.window + 2 * size.smoothing + (size.normalization or 0)
    for name, sections in configs(size):
        if name in done or (only and name not in only):
            continue
        values = {"data": section, "split": {"gap": gap}, "threshold": {"kind": "ewma"}, **sections}
        start = time.perf_counter()
        try:
            outcome = run(parse(ExperimentConfig, values, name), data)
        except (DataError, ValueError) as error:
            yield {"detector": name, "error": str(error)[:200]}
            continue
        folder.mkdir(parents=True, exist_ok=True)
        scores = {"validation": outcome.validation.values, "test": outcome.test.values}  # noqa: PD011
        np.savez_compressed(
            folder / f"{name}.npz",
            **{part: values.astype(np.float32) for part, values in scores.items()},
            labels=data.test.labels,
        )
        yield {"detector": name, **measured(outcome, gap - 1), "wall": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", default=None)
    parser.add_argument("--only", nargs="+", default=())
    parser.add_argument("--table", action="store_true", help="only read what is logged")
    arguments = parser.parse_args()
    settings = read_settings()
    folder = settings.output_dir / "suite"
    folder.mkdir(parents=True, exist_ok=True)
    logged = read_log(folder)
    if not arguments.table:
        for domain, sections in domains(settings.data_dir).items():
            for name, section in sections.items() if arguments.domains is None or domain in arguments.domains else ():
                data = parse(_DataOnly, {"data": section}, name).data.load(settings.data_dir)
                done = set(logged.loc[logged["series"] == name, "detector"]) if len(logged) else set()
                with (folder / LOG).open("a", encoding="utf-8") as log:
                    for row in measure(section, data, tuple(arguments.only), done, folder / name):
                        log.write(json.dumps({"domain": domain, "series": name, **row}) + "\n")
                        log.flush()
                print(name, flush=True)
    print(table(read_log(folder)).to_string(float_format="{:.3f}".format))


def read_log(folder: Path) -> pd.DataFrame:
    path = folder / LOG
    return pd.read_json(path, lines=True) if path.is_file() and path.stat().st_size else pd.DataFrame()


def table(runs: pd.DataFrame, metric: str = "vus_pr") -> pd.DataFrame:
    """Returns the mean metric per detector and domain, and the mean of the domains, the best first."""
    by_domain = runs.dropna(subset=metric).pivot_table(index="detector", columns="domain", values=metric)
    others = [domain for domain in by_domain if domain != "smd"]
    by_domain["mean of the suite"] = by_domain[others].mean(axis=1, skipna=False)
    by_domain["mean"] = by_domain[[*others, *(["smd"] if "smd" in by_domain else [])]].mean(axis=1, skipna=False)
    return by_domain.sort_values("mean", ascending=False)


if __name__ == "__main__":
    sys.exit(main())
