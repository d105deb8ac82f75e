"""Time and memory of `check`, `train` and `score` with the default detector, by the number of columns.

    OMP_NUM_THREADS=1 python benchmarks/wide.py [--columns 50 200 ...] [--rows 2682] [--offset 0]

The tables are generated: each column is a sine with noise, half of them with a random walk; a twentieth of the columns is moved
by 3 in each of the events of the second half. Each command runs in a process of its own, in a temporary folder with a store
of its own. Seconds are those on a processor, which other programs on the machine do not lengthen; memory is the peak.
`--offset` is added to the first column.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = (50, 100, 200, 500, 1000, 2284)
LABELED = ("--set", "data.label=label", "--set", "data.time=time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, nargs="+", default=COLUMNS)
    parser.add_argument("--rows", type=int, default=2682)
    parser.add_argument("--offset", type=float, default=0.0)
    arguments = parser.parse_args()
    print(
        "| columns | " + " | ".join(f"{name}, s | {name}, MB" for name in ("check", "train", "score")) + " | PR-AUC |"
    )
    print("|" + "---|" * 8)
    for columns in arguments.columns:
        with tempfile.TemporaryDirectory() as folder:
            table = wide_table(arguments.rows, columns)
            table.iloc[:, 1] += arguments.offset
            table.to_csv(Path(folder) / "rows.csv", index=False)
            costs, area = measured(Path(folder))
        cells = [f"{seconds:.1f} | {megabytes:.0f}" for seconds, megabytes in costs]
        print(f"| {columns:,} | {' | '.join(cells)} | {area} |", flush=True)


def wide_table(rows: int, columns: int) -> pd.DataFrame:
    """Returns generated rows with times and labels."""
    generator = np.random.default_rng(0)
    step = np.arange(rows)[:, None]
    values = np.cumsum(0.1 * generator.normal(size=(rows, columns)), axis=0) * (generator.random(columns) < 0.5)
    periods, phases = generator.uniform(20, 300, columns), generator.uniform(0, 6, columns)
    values += np.sin(2 * np.pi * step / periods + phases) * generator.uniform(0, 2, columns)
    values += 0.2 * generator.normal(size=values.shape)
    label = np.zeros(rows, np.int64)
    for start in range(rows // 2 + 100, rows - 60, max(rows // 12, 80)):
        moved = generator.choice(columns, max(1, columns // 20), replace=False)
        values[start : start + 30, moved] += 3
        label[start : start + 30] = 1
    table = pd.DataFrame(values.round(4), columns=[f"s{column}" for column in range(columns)])
    table.insert(0, "time", pd.date_range("2024-01-01", periods=rows, freq="min"))
    return table.assign(label=label)


def measured(folder: Path) -> tuple[list[tuple[float, float]], str]:
    """Returns seconds and peak megabytes of each command on `rows.csv` in a folder, and the PR-AUC that training printed."""
    checked = cost(folder, "data", "check", "rows.csv", *LABELED, "--experiment", "wide.yaml")
    trained = cost(folder, "train", "wide.yaml")
    detector = next((folder / "outputs").glob("train/*/detector"))
    scored = cost(folder, "score", str(detector), "rows.csv")
    lines = (line.split() for line in trained[1].splitlines())
    area = next((words[1] for words in lines if words[:1] == ["ranking/pr_auc"]), "")
    return [checked[0], trained[0], scored[0]], area


def cost(folder: Path, *words: str) -> tuple[tuple[float, float], str]:
    """Returns processor seconds and peak megabytes of a command of tsad, and what it printed."""
    with (folder / "printed.txt").open("w+", encoding="utf-8") as printed:
        process = subprocess.Popen([sys.executable, "-m", "tsad", *words], cwd=folder, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    if process.returncode:
        raise SystemExit(f"tsad {' '.join(words)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), text


if __name__ == "__main__":
    main()
