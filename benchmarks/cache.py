"""The second load of a machine of SMD, from the cache, against the first.

    python benchmarks/cache.py [--machine 1-2] [--repeats 5]

Loads the machine from where TSAD_DATA_DIR has it: without the cache; with an empty one, which reads, hashes and writes; and
from it. Seconds are medians, in turns; the cache lies in a temporary folder. Files were read once before.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tsad.data.cache import Cache
from tsad.data.sets.smd import SmdSpec
from tsad.workflows.context import read_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="1-2", help="of SMD")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    folder, spec = read_settings().data_dir, SmdSpec(kind="smd", machine=arguments.machine)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as place:
        cache = Cache(Path(place), 10**9)
        spec.load(folder)
        turns = []
        for _ in range(arguments.repeats):
            cache.clear()
            turns.append(
                [
                    seconds(lambda: spec.load(folder)),
                    seconds(lambda: cache.load(spec, folder)),
                    seconds(lambda: cache.load(spec, folder)),
                ]
            )
        size = sum(stat.st_size for _, stat in cache.entries())
    plain, first, second = np.median(turns, axis=0)
    print(f"{spec.machine} from {spec.sources(folder)[0]}, {size / 1e6:.1f} MB in the cache")
    print(
        f"without {plain:.3f} s, first {first:.3f} s, second {second:.3f} s: {first / second:.0f} times as fast as the first"
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
