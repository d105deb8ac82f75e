"""Flows of CIC-DDoS2019 turned into a series: speed and memory beside pandas, which reads the same file in one go.

    python benchmarks/flows.py [--megabytes 1000] [--repeats 3] [--folder DIR]

A file of that size in the published layout is generated in a temporary folder (of `--folder`, if given): a quiet network, then
an attack of some thousand flows a second, times a little out of order, with the known dirt. Each reading is a process of its
own; the file was read once before, so that both find it in memory if it fits. Seconds are the median without the start of
Python and the imports; memory is the most that the process held, and what it held before it read.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tsad.data.sets.flows import NEEDED, NUMERIC

READINGS = ("pandas", "bins")
ROWS = 20_000
"""Of which the file is made again and again, with other times and ports."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--read", choices=READINGS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(*read(arguments.read, arguments.folder))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "cicddos2019", "DrDoS_DNS.csv")
        flows = generate(path, arguments.megabytes)
        print(f"{path.stat().st_size / 1e6:.0f} MB, {flows:,} flows\n")
        print(f"{'':8} {'seconds':>8} {'MB/s':>7} {'peak MB':>8} {'before':>7}")
        for reading in READINGS:
            command = [sys.executable, __file__, "--read", reading, "--folder", folder]
            done = [
                subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(arguments.repeats)
            ]
            seconds, peak, before, rows = np.median(
                [[float(word) for word in each.stdout.split()] for each in done], axis=0
            )
            speed = path.stat().st_size / 1e6 / seconds
            print(f"{reading:8} {seconds:8.1f} {speed:7.0f} {peak:8.0f} {before:7.0f}  {rows:,.0f} rows")


def read(reading: str, folder: Path) -> tuple[float, float, float, int]:
    """Returns seconds, peak and earlier memory in MB, and rows of one reading, measured in this process."""
    import pandas as pd

    from tsad.data.sets.cicddos2019 import CicDdos2019Spec

    before, start = peak_megabytes(), time.perf_counter()
    if reading == "pandas":
        rows = len(pd.read_csv(folder / "cicddos2019" / "DrDoS_DNS.csv", low_memory=False))
    else:
        data = CicDdos2019Spec(kind="cicddos2019").load(folder)
        rows = len(data.train) + len(data.test)
    return time.perf_counter() - start, peak_megabytes(), before, rows


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def generate(path: Path, megabytes: int) -> int:
    """Writes about that many megabytes of flows, and returns how many there are."""
    path.parent.mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = templates(generator)
    size = len("".join(start + end for start, end in rows)) / ROWS + 60
    chunks = max(2, round(megabytes * 1e6 / size / ROWS))
    quiet = max(1, chunks // 10)
    clock = np.datetime64("2018-12-01T10:00:00", "us")
    with path.open("w", encoding="utf-8") as file:
        file.write(header() + "\n")
        for chunk in range(chunks):
            pauses = generator.exponential(2e5 if chunk < quiet else 250, ROWS)  # microseconds
            times = clock + (np.cumsum(pauses) + generator.uniform(0, 1e4, ROWS)).astype(np.int64)
            ports = generator.integers(1024, 2**16, (ROWS, 2))
            label = "BENIGN" if chunk < quiet else "DrDoS_DNS"
            for (start, end), stamp, (source, target) in zip(rows, times, ports, strict=True):
                text = str(stamp).replace("T", " ")
                file.write(f"{start},{source},192.168.50.1,{target},17,{text},{end},{label}\n")
            clock = times.max()
    return chunks * ROWS


def header() -> str:
    first = ["Unnamed: 0", "Flow ID", *NEEDED[:4], *NEEDED[4:6]]
    return ",".join([*first, *(f" {name}" for name in NUMERIC), " Fwd Header Length.1", "SimillarHTTP", " Label"])


def templates(generator: np.random.Generator) -> list[tuple[str, str]]:
    """Returns what stands before the ports and after the time of each row."""
    values = generator.lognormal(4, 3, (ROWS, len(NUMERIC))).round(3)
    whole = generator.random(len(NUMERIC)) < 0.5
    starts = [f"{place},172.16.0.5-192.168.50.1-634-60495-17,172.16.0.{place % 250}" for place in range(ROWS)]
    ends = []
    for place, row in enumerate(values):
        cells = [str(int(value)) if flag else str(value) for value, flag in zip(row, whole, strict=True)]
        if place % 50 == 0:
            cells[NUMERIC.index("Flow Bytes/s")] = cells[NUMERIC.index("Flow Packets/s")] = "Infinity"
        cells[NUMERIC.index("Fwd Header Length")] = "-212543795000" if place % 7 == 0 else "40"
        ends.append(",".join([*cells, "40", "0"]))
    return list(zip(starts, ends, strict=True))


if __name__ == "__main__":
    sys.exit(main())
