import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.examples import kind_of, members
from tsad.models import ModelSpec

REPOSITORY = Path(__file__).parents[1]
TINY = ["--steps", "1", "--batch", "4", "--length", "6", "--features", "5", "--device", "cpu"]
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture
def gpu():
    """The module benchmarks/gpu.py."""
    spec = importlib.util.spec_from_file_location("gpu", REPOSITORY / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
