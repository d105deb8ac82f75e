"""Ten kills over one search: driver, worker and tracking server in turn, at random moments; and what is left of it.

    python benchmarks/search_kills.py [--kills 10] [--trials 16] [--seed 0]

The same search runs twice against a real tracking server: once undisturbed, once under `kill -9`. A killed driver is started
again with the same command, a killed server comes back after `--outage` seconds, a killed worker stays dead. Random search,
since what evolution breeds depends on the values of all before, and a trial whose worker was killed has none. At the end
both must have the same trials, each once, and no run may be RUNNING.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "synthetic_quick.yaml"
FIXED = (
    "search.algorithm.kind=random",
    "search.asha=null",
    "search.reuse=false",
    "training.epochs=20",
    "training.patience=20",
)


class Server:
    """A tracking server on a SQLite file, on loopback."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = folder
        self.uri = f"http://127.0.0.1:{self._port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        store = ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"]
        artifacts = ["--artifacts-destination", str(self._folder / "artifacts")]
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *store,
            *artifacts,
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
        ]
        with (self._folder / "server.log").open("ab") as log:
            process = subprocess.Popen([*command, "--workers", "1"], stdout=log, stderr=log, start_new_session=True)
        while not self._answers():
            time.sleep(0.5)
        return process

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self, outage: float) -> None:
        """Kills it with all its workers, and starts it again after so many seconds."""
        self.stop()
        time.sleep(outage)
        self.process = self._start()

    def stop(self) -> None:
        """Kills it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def main() -> int:
    arguments = read_arguments()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="search-kills-") as folder:
        server = Server(Path(folder))
        try:
            runs = {}
            for name, kills in (("undisturbed", 0), ("disturbed", arguments.kills)):
                start = time.monotonic()
                _search(Path(folder, name), server, arguments, kills, moments)
                runs[name] = _trials(server.uri, Path(folder, name))
                print(f"{name}: {time.monotonic() - start:.0f} s, {_summary(runs[name])}", flush=True)
            return _judge(runs["undisturbed"], runs["disturbed"], server.uri)
        finally:
            server.stop()


def _search(folder: Path, server: Server, arguments: argparse.Namespace, kills: int, moments: random.Random) -> None:
    """Searches until the command comes to its own end, killing somebody every now and then."""
    folder.mkdir()
    driver = _start(folder, server.uri, arguments.trials)
    for count in range(kills):
        time.sleep(moments.uniform(2, arguments.every))
        if driver.poll() is not None or _finished(folder, server.uri):
            print(f"the search ended before kill {count + 1}; take more trials", flush=True)
            break
        victim = ("driver", "worker", "server")[count % 3]
        print(f"kill {count + 1}: {victim}", flush=True)
        if victim == "driver":
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
            driver = _start(folder, server.uri, arguments.trials)
        elif victim == "server":
            server.kill(arguments.outage)
        else:
            _kill_worker(driver, moments)
    if driver.wait() != 0:
        raise SystemExit(f"the search ended with {driver.returncode}:\n{(folder / 'search.log').read_text()[-3000:]}")


def _finished(folder: Path, uri: str) -> bool:
    """Returns whether the run of the search has its end: killed after that, the same command would begin another search."""
    searches = (folder / "outputs" / "search").glob("*")
    return any(MlflowClient(uri).get_run(each.name).info.status == "FINISHED" for each in searches)


def _start(folder: Path, uri: str, trials: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tsad", "search", str(SPACE), "--resume", "--trials", str(trials)]
    changes = [word for change in FIXED for word in ("--set", change)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "TSAD_OUTPUT_DIR": str(folder / "outputs")}
    with (folder / "search.log").open("ab") as log:
        return subprocess.Popen([*command, *changes], cwd=folder, env=environment, stdout=log, stderr=log)


def _kill_worker(driver: subprocess.Popen[bytes], moments: random.Random) -> None:
    """Kills one of the processes below the driver that train, the next one that there is."""
    while driver.poll() is None:
        workers = _training(driver.pid)
        if workers:
            os.kill(moments.choice(workers), signal.SIGKILL)
            return
        time.sleep(0.2)


def _training(driver: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    below, grown = {driver}, True
    while grown:
        found = {int(pid) for pid, parent, *_ in rows if int(parent) in below}
        grown = not found <= below
        below |= found
    return [int(pid) for pid, _, *words in rows if int(pid) in below and "ray::ImplicitFunc" in " ".join(words)]


def _trials(uri: str, folder: Path) -> list[Run]:
    """Returns the runs of the trials of the one search that has a folder here."""
    client = MlflowClient(uri)
    (search,) = (folder / "outputs" / "search").iterdir()
    experiment = client.get_experiment_by_name("tsad")
    return list(
        client.search_runs(
            [experiment.experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{search.name}'", max_results=5000
        )
    )


def _summary(runs: list[Run]) -> str:
    states = Counter(run.data.tags["tsad.state"] for run in runs)
    return f"{len(runs)} trials: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}"


def _judge(undisturbed: list[Run], disturbed: list[Run], uri: str) -> int:
    keys = [
        Counter((run.data.tags["tsad.trial"], run.data.tags["tsad.config_fingerprint"]) for run in runs)
        for runs in (undisturbed, disturbed)
    ]
    client = MlflowClient(uri)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    running = client.search_runs(everywhere, "attributes.status = 'RUNNING'")
    values = [
        {
            run.data.tags["tsad.config_fingerprint"]: run.data.metrics["value"]
            for run in runs
            if run.data.tags["tsad.state"] == "finished"
        }
        for runs in (undisturbed, disturbed)
    ]
    shared = values[0].keys() & values[1].keys()
    findings = {
        "the same trials": keys[0] == keys[1],
        "each once": max(keys[1].values()) == 1,
        "no run RUNNING": not running,
        f"equal values of the {len(shared)} that finished in both": all(
            values[0][key] == values[1][key] for key in shared
        ),
    }
    for finding, holds in findings.items():
        print(f"{finding}: {'yes' if holds else 'NO'}")
    return 0 if all(findings.values()) else 1


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--every", type=float, default=20, help="seconds from one kill to the next, at most")
    parser.add_argument("--outage", type=float, default=10, help="seconds that the server is gone")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
