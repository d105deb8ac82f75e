"""How fast `tsad serve` answers, beside the bare model on the same rows and threads.

    python benchmarks/serving.py --experiment experiments/smd_lstm.yaml --seconds 60
    python benchmarks/serving.py --model models:/tsad@champion --rows 200 --clients 8

Clients post frames of rows as fast as they are answered, each over one connection, from the same machine and so on the same
cores. The bare model gets the windows of the same frames, in batches of the same size, in as many threads of one core each
as the service has workers; nothing is read, scaled, smoothed or written there. Then one client pushes rows to a stream one
by one; each answer comes after the state is on the disk.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tsad.detector.ensemble import Ensemble
from tsad.detector.scoring import BATCH
from tsad.experiment import run
from tsad.registry.load import load_detector
from tsad.serving.served_model import open_model
from tsad.workflows.context import open_context
from tsad.workflows.inputs import read_experiment

WARM_UP = 2.0
"""Seconds before anything is measured."""


def main() -> None:
    arguments = read_arguments()
    context = open_context()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = arguments.model or trained(arguments.experiment, context.settings.data_dir, folder / "detector")
        detector = load_detector(model)
        made = open_model(model, folder / "packed").series("synthetic").to_numpy()
        rows = np.resize(made, (arguments.rows, made.shape[1]))
        bare = rows_a_second(bare_pass(detector.scorer, rows), arguments.workers, arguments.seconds / 2, arguments.rows)
        with service(model, folder / "state", arguments.workers) as (port, process):
            memory = [resident(process)]
            lines = [
                loaded(port, path, body, arguments) | {"ratio": None}
                for path, body in bodies(detector.scorer.features, rows).items()
            ]
            memory.append(resident(process))
            lines.append(streamed(port, rows, arguments.pushes))
            memory.append(resident(process))
    table = pd.DataFrame(lines).set_index("path")
    table["ratio"] = bare / table["rows/s"]
    print(
        f"\n{detector.scorer.kind}, {len(detector.scorer.features)} features, frames of {arguments.rows} rows, "
        f"{arguments.clients} clients, {arguments.workers} workers of one thread, {os.cpu_count()} cores\n"
    )
    print(table.to_string(float_format=lambda value: f"{value:.2f}", na_rep=""))
    print(f"\nbare forward pass: {bare:.0f} rows/s; ratio = that over the service's (the stream has one client)")
    print(
        f"resident memory, MB: {memory[0]:.0f} at first, {memory[1]:.0f} after the frames, {memory[2]:.0f} after the stream"
    )


def trained(experiment: Path, data: Path, folder: Path) -> str:
    """Returns the folder of a detector trained for one epoch: speed does not depend on what it learned."""
    wanted = read_experiment(experiment, {"training.epochs": 1})
    run(wanted, wanted.data.load(data)).detector.save(folder)
    return str(folder)


def bodies(features: tuple[str, ...], rows: np.ndarray) -> dict[str, bytes]:
    return {
        "/invocations": json.dumps({"dataframe_split": {"columns": features, "data": rows.tolist()}}).encode(),
        "/api/score": json.dumps({"columns": features, "rows": rows.tolist()}).encode(),
    }


# --- the bare model ---


def bare_pass(scorer: object, rows: np.ndarray) -> Callable[[], None]:
    """Returns the forward pass over the windows of a frame, of every member if there are several."""
    scorers = [member.scorer for member in scorer.members] if isinstance(scorer, Ensemble) else [scorer]
    prepared = []
    for each in scorers:
        scaled = torch.from_numpy((rows - each.scaler.center) / each.scaler.scale).float()
        windows = scaled.unfold(0, each.window_length, 1).transpose(1, 2)
        filled = windows[torch.arange(-(-len(windows) // BATCH) * BATCH) % len(windows)]
        prepared.append((each.model, filled.split(BATCH)))

    def forward() -> None:
        with torch.inference_mode():
            for model, batches in prepared:
                for batch in batches:
                    model(batch)

    return forward


def rows_a_second(work: Callable[[], None], threads: int, seconds: float, rows: int) -> float:
    torch.set_num_threads(1)
    done = repeated([work] * threads, seconds)
    return sum(map(len, done)) * rows / seconds


def repeated(works: list[Callable[[], None]], seconds: float) -> list[list[float]]:
    """Returns how long each call took, by thread, of those that ended within the seconds after the warm-up."""
    begin = time.perf_counter() + WARM_UP
    taken: list[list[float]] = [[] for _ in works]

    def repeat(work: Callable[[], None], kept: list[float]) -> None:
        while (start := time.perf_counter()) < begin + seconds:
            work()
            if begin < (now := time.perf_counter()) < begin + seconds:
                kept.append(now - start)

    threads = [threading.Thread(target=repeat, args=pair) for pair in zip(works, taken, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


# --- the service ---


@contextmanager
def service(model: str, state: Path, workers: int):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", model, "--port", str(port), "--state", str(state), "--workers", str(workers)]
    process = subprocess.Popen([sys.executable, "-m", "tsad", *words], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if process.poll() is not None:
                    sys.exit("the service ended")
                time.sleep(0.2)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


class Client:
    """One connection that is kept."""

    def __init__(self, port: int, path: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.path = path
        self.errors = 0

    def post(self, body: bytes) -> bytes:
        self.connection.request("POST", self.path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        content = answer.read()
        self.errors += answer.status not in {200, 201}
        return content


def loaded(port: int, path: str, body: bytes, arguments: argparse.Namespace) -> dict[str, object]:
    clients = [Client(port, path) for _ in range(arguments.clients)]
    taken = repeated([lambda client=client: client.post(body) for client in clients], arguments.seconds)
    return summary(path, np.concatenate(taken), arguments.rows, arguments.seconds, clients)


def streamed(port: int, rows: np.ndarray, pushes: int) -> dict[str, object]:
    number = json.loads(Client(port, "/api/streams").post(b"{}"))["id"]
    client = Client(port, f"/api/streams/{number}/rows")
    bodies = [json.dumps({"rows": [row]}).encode() for row in rows.tolist()]
    taken = []
    for place in range(pushes):
        start = time.perf_counter()
        client.post(bodies[place % len(bodies)])
        taken.append(time.perf_counter() - start)
    return summary("stream, row by row", np.array(taken), 1, sum(taken), [client])


def summary(path: str, taken: np.ndarray, rows: int, seconds: float, clients: list[Client]) -> dict[str, object]:
    low, high = np.quantile(taken, [0.5, 0.99]) * 1000
    errors = sum(client.errors for client in clients)
    for client in clients:
        client.connection.close()
    return {
        "path": path,
        "requests": len(taken),
        "errors": errors,
        "p50 ms": low,
        "p99 ms": high,
        "rows/s": len(taken) * rows / seconds,
    }


def resident(process: int) -> float:
    """Returns the resident memory of a process in MB; NaN where /proc does not tell."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS")), float("nan"))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "experiments" / "synthetic_lstm.yaml"
    parser.add_argument("--experiment", type=Path, default=default, help="is trained for one epoch and served")
    parser.add_argument("--model", help="URI or folder of a detector, instead")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement; the bare model gets half")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rows", type=int, default=200, help="of a frame")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pushes", type=int, default=2000, help="of single rows to the stream")
    return parser.parse_args()


if __name__ == "__main__":
    main()
