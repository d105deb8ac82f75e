"""What a fleet costs: N entities x 10,000 rows x 10 features with the default detector, trained and scored side by side.

    python benchmarks/fleet.py [--entities 20 60] [--rows 10000] [--features 10] [--forms files panel] [--parallel 2]

Each line is one `tsad train --each-entity` and one `tsad score` of all rows, in fresh folders and as commands of their own:
seconds in all and for an entity, with the start of Ray; the largest resident memory of the driver, and of its largest worker;
the size of the database and of the artifacts. `files` is one file a machine, `panel` one file with a column of machines. The
last lines extrapolate to 1,000 entities by the line through the two sizes, nothing else.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

MB = 1e6
TARGET = 1000


@dataclass(frozen=True)
class Usage:
    """Wall seconds of a command, and the largest resident megabytes of its own process and of one of its workers."""

    seconds: float
    driver: float
    worker: float


def main() -> None:
    arguments = read_arguments()
    rows = []
    for form in arguments.forms:
        for entities in arguments.entities:
            with tempfile.TemporaryDirectory() as folder:
                rows.append({"form": form, "entities": entities} | measured(Path(folder), form, entities, arguments))
                print(pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format), flush=True)
    if len(arguments.entities) > 1:
        print(f"\nextrapolated to {TARGET} entities:")
        print(extrapolated(pd.DataFrame(rows)).to_string(float_format="{:.0f}".format))


def measured(folder: Path, form: str, entities: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the costs of a fleet."""
    source = write_rows(folder, form, entities, arguments)
    options = ["--set", "data.time=time", "--set", f"data.entity={'machine' if form == 'panel' else 'null'}"]
    parallel = ["--parallel", str(arguments.parallel)]
    train = run(["train", source, "--each-entity", *options, *parallel], folder)
    fleet = next(folder.glob("outputs/train/*/fleet"))
    score = run(["score", str(fleet), source, *(parallel if form == "files" else [])], folder)
    return {
        "train s": train.seconds,
        "s/entity": train.seconds / entities,
        "driver MB": train.driver,
        "worker MB": train.worker,
        "database MB": (folder / "mlflow.db").stat().st_size / MB,
        "artifacts MB": size(folder / "mlartifacts"),
        "files": sum(path.is_file() for path in (folder / "mlartifacts").rglob("*")),
        "score s": score.seconds,
        "score MB": score.driver,
    }


def write_rows(folder: Path, form: str, entities: int, arguments: argparse.Namespace) -> str:
    """Writes the rows of all machines, and returns their file or pattern."""
    generator = np.random.default_rng(0)
    (folder / "machines").mkdir()
    source = folder / "panel.csv"
    for number in range(entities):
        table = machine(generator, arguments.rows, arguments.features)
        if form == "files":
            table.to_csv(folder / "machines" / f"m{number:04d}.csv", index=False, float_format="%.4f")
        else:
            table.insert(1, "machine", f"m{number:04d}")
            table.to_csv(source, index=False, float_format="%.4f", mode="a", header=number == 0)
    return "machines/*.csv" if form == "files" else source.name


def machine(generator: np.random.Generator, rows: int, features: int) -> pd.DataFrame:
    """Returns noisy waves at the level of one machine."""
    waves = np.sin(np.arange(rows)[:, None] / generator.uniform(5, 25, features))
    values = waves + generator.normal(0, 0.1, (rows, features)) + generator.normal(0, 3, features)
    table = pd.DataFrame(values, columns=[f"f{number}" for number in range(features)])
    table.insert(0, "time", pd.date_range("2024-01-01", periods=rows, freq="min"))
    return table


def run(words: list[str], folder: Path) -> Usage:
    """Runs a command of tsad, and watches its processes; ends the benchmark if it fails."""
    start, driver, worker = time.monotonic(), 0.0, 0.0
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "tsad", *words], cwd=folder, stdout=log, stderr=log)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                driver = max(driver, watched.memory_info().rss / MB)
            for child in children(watched):
                with contextlib.suppress(psutil.Error):
                    if "ray::" in child.name() or "ray::" in " ".join(child.cmdline()):
                        memory = child.memory_info()
                        worker = max(worker, (memory.rss - getattr(memory, "shared", 0)) / MB)
            time.sleep(0.2)
    if process.returncode:
        sys.exit((folder / "log.txt").read_text())
    return Usage(time.monotonic() - start, driver, worker)


def children(process: psutil.Process) -> list[psutil.Process]:
    """Returns all processes below one."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def size(folder: Path) -> float:
    """Returns the megabytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def extrapolated(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the costs at `TARGET` entities on the line through the smallest and the largest measured size."""
    lines = {}
    for form, rows in table.groupby("form", sort=False):
        small, large = rows.iloc[0], rows.iloc[-1]
        share = (TARGET - small["entities"]) / (large["entities"] - small["entities"])
        costs = rows.columns.drop(["form", "entities", "s/entity"])
        lines[form] = {name: small[name] + share * (large[name] - small[name]) for name in costs}
    return pd.DataFrame.from_dict(lines, orient="index")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=[20, 60])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--forms", nargs="+", choices=["files", "panel"], default=["files", "panel"])
    parser.add_argument("--parallel", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
