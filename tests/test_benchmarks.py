import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.examples import kind_of, members
from tsad.assessment.baselines import BASELINES
from tsad.config import ExperimentConfig
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.data.split import split
from tsad.detector.ensemble import Ensemble
from tsad.experiment import run
from tsad.models import ModelSpec
from tsad.spec import parse, put

REPOSITORY = Path(__file__).parents[1]
TINY = ["--steps", "1", "--batch", "4", "--length", "6", "--features", "5", "--device", "cpu"]
PRECISIONS = ("float32", "bfloat16")


def benchmark(name):
    """Returns the module of a benchmark."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gpu():
    """The module benchmarks/gpu.py."""
    return benchmark("gpu")


@pytest.fixture
def smd(monkeypatch):
    """The module benchmarks/smd.py, which finds its neighbors beside it."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return benchmark("smd")


@pytest.mark.slow
def test_every_model_runs_in_the_gpu_benchmark_without_mlflow_and_ray():
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['benchmarks/gpu.py', *{TINY}]\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    print('heavy:', *{'mlflow', 'ray', 'matplotlib'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("so the CPU alone")
    assert lines[-2:] == ["off by more than is allowed: nothing", "heavy:"]
    shown = [line.split()[:3] for line in lines[3:-2]]
    assert {kind for kind, *_ in shown} == {kind_of(member) for member in members(ModelSpec)}
    assert all(device == "cpu" and precision in PRECISIONS for _, device, precision in shown)


def test_a_loss_that_is_off_ends_the_gpu_benchmark_with_status_1(gpu, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "ALLOWED", {"float32": 2e-5, "bfloat16": 0.0})
    monkeypatch.setattr(gpu, "specs", lambda union, specs=gpu.specs: specs(union)[:1])
    assert gpu.main(TINY) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("MISSED") for line in lines[3:-1]] == [False, True]
    assert lines[-1] == "off by more than is allowed: 1"


def test_the_gpu_benchmark_counts_a_loss_that_is_no_number_as_off(gpu):
    line = gpu.Line("lstm_ae", gpu.Case("cuda", "float32"), (1.0, 1.0), float("nan"), 2e-5, 1.0, 1.0)
    assert line.missed
    assert not line._replace(off=1e-6).missed


def test_the_gpu_benchmark_measures_the_memory_that_was_held_at_once(gpu):
    def hold():
        first = torch.zeros(2**18)  # 1 MiB
        second = first + 1
        del first
        return second * 2

    assert gpu.peak("cpu", hold) == pytest.approx(2.0, abs=0.01)


def test_noise_is_the_same_wherever_it_is_wanted(gpu):
    torch.manual_seed(0)
    with gpu.DrawnOnCpu():
        wanted = torch.randn(3, 2, device="meta")
        after = torch.randn(4)
    torch.manual_seed(0)
    torch.randn(3, 2)
    assert wanted.device.type == "meta"
    assert torch.equal(after, torch.randn(4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--features", "3"], "components must not exceed the values they explain"),
        (["--length", "1"], "a forecaster needs a row to forecast from"),
        (["--steps", "0"], "must be at least 1, but got 0, 32, 32, 38"),
        pytest.param(
            ["--device", "cuda"],
            "there is no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_the_gpu_benchmark_says_what_it_cannot_do(gpu, capsys, wrong, message):
    with pytest.raises(SystemExit, match="2"):
        gpu.main(wrong)
    assert message in capsys.readouterr().err


# --- the table of detectors ---


def test_detectors_are_compared_with_the_best_baseline_one_machine_by_machine(smd):
    vus = {"deep": [0.5, 0.7, 0.4, 0.9, 0.6], "baseline l2": [0.4, 0.5, 0.7, 0.5, 0.1], "baseline random": [0.1] * 5}
    runs = [
        dict.fromkeys(smd.SHOWN, 0.0) | {"name": name, "machine": f"m{place}", smd.PRIME: value}
        for name, values in vus.items()
        for place, value in enumerate(values)
    ]
    table = smd.summary(pd.DataFrame(runs).groupby(["name", "machine"])[[*smd.SHOWN]].mean())
    assert table.index.tolist() == ["deep", "baseline l2", "baseline random"]
    assert table["VUS-PR"].tolist() == pytest.approx([0.62, 0.44, 0.1])
    assert table["against l2"]["deep"].startswith("0.180 [")
    assert table["p"]["deep"] == pytest.approx(10 / 32)
    assert table["wins"].to_dict() == {"deep": "4/5", "baseline l2": "4/5", "baseline random": "0/5"}


def test_every_detector_of_the_table_runs_on_every_machine_with_the_same_rows_and_threshold(smd, monkeypatch):
    words = ["smd.py", "--machines", "1-2", "2-8", "--seeds", "2", "--set", "training.epochs=1"]
    monkeypatch.setattr(sys, "argv", words)
    wanted = smd.wanted_runs(smd.read_arguments())
    trained = len(smd.DETECTORS) - len(smd.CLOSED)
    assert len(wanted) == 2 * (len(smd.CLOSED) + 2 * trained + len(BASELINES) + 1)
    assert {case for _, case in wanted} == {"1-2 0", "1-2 1", "2-8 0", "2-8 1"}
    averages = {case: wanted.pop(("average", case)) for case in ("1-2 0", "2-8 0")}
    for case, average in averages.items():
        assert average.members == tuple(wanted[name, case] for name in smd.AVERAGE)
    for (_, case), experiment in wanted.items():
        assert f"{experiment.data.machine} {experiment.seed}" == case
        assert experiment.split == wanted["multiscale", "1-2 0"].split
        assert experiment.threshold.kind == "ewma"
    assert wanted["lstm", "1-2 0"].training.epochs == 1
    monkeypatch.setattr(sys, "argv", [*words, "--only", "lstm", "baseline l2"])
    assert {name for name, _ in smd.wanted_runs(smd.read_arguments())} == {"lstm", "baseline l2"}


def test_an_average_is_the_mean_surprisal_of_its_members_where_the_first_counts_twice(smd, small_experiment):
    members = [
        parse(ExperimentConfig, put(small_experiment.model_dump(mode="json"), {"model": model}), "member")
        for model in ({"kind": "l2"}, {"kind": "pca_error", "components": 2})
    ]
    data = small_experiment.data.load(Path())
    found = smd.Average((members[0], *members)).outcome(data)
    alone = [run(each, data).detector.scorer for each in members]
    parts = split(data, members[0].split, max(scorer.lookback for scorer in alone) + 1)
    first, second = (member.score(parts.test).values for member in Ensemble.fit(alone, parts.validation).members)
    assert found.test.values == pytest.approx((2 * first + second) / 3, nan_ok=True)


# --- the cost of the metrics ---


def test_the_cost_of_the_metrics_is_shown_with_and_without_their_reference(monkeypatch, capsys):
    module, data = benchmark("metrics"), SyntheticSpec(kind="synthetic", rows=400, events=8).load(Path())
    monkeypatch.setattr(module, "tsb_ad", lambda: None)
    module.compare(data, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"synthetic-0: 391 rows, {data.test.labels[9:].sum()} anomalous, ")
    assert [line.split()[0] for line in lines[3:]] == [*(module.OF_SCORES | module.OF_FLAGS).values()]
    assert "nan" not in " ".join(lines)
    module.grow(data.test.labels, [400, 800], repeats=1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("exponent ")


def test_seconds_are_the_median_of_calls_in_turn():
    calls = []
    seconds = benchmark("metrics").median_seconds([lambda: calls.append("a"), lambda: calls.append("b")], 3)
    assert calls == ["a", "b"] * 3
    assert seconds.shape == (2,)
    assert (seconds >= 0).all()
    assert np.isfinite(seconds).all()
