import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tsad.config import ExperimentConfig
from tsad.errors import TrainingError
from tsad.experiment import run
from tsad.spec import parse, put
from tsad.training.checkpoints import Backup

REPOSITORY = Path(__file__).parents[2]
VALUES = {
    "seed": 5,
    "data": {"kind": "synthetic", "rows": 400, "features": 4, "events": 4},
    "split": {"gap": 12},
    "window": {"length": 12, "stride": 4},
    "model": {"kind": "adversarial_transformer", "width": 8, "heads": 2, "depth": 1, "dropout": 0.1},
    "objective": {
        "mask": {"kind": "geometric", "fill": "noise", "schedule": {"kind": "linear"}},
        "terms": [
            {"kind": "squared_error", "weighting": "feature_scaled"},
            {"kind": "info_nce"},
            {"kind": "adversarial", "every": 2, "learning_rate": 1e-4},
        ],
    },
    "training": {
        "epochs": 6,
        "patience": 3,
        "batch_size": 32,
        "optimizer": {"kind": "adamw"},
        "clip": 1.0,
        "schedule": {"kind": "cosine"},
    },
}
FILES = ("best.safetensors", "last.safetensors", "detector/weights.safetensors")


class KillError(Exception):
    """Stands for whatever ends a process between two epochs."""


def train(folder, *, stop_after=None, resume=False, backup=None, **changes):
    """Runs the experiment, until epoch `stop_after` if given; returns the outcome and the epochs that were told."""
    told = []

    def listen(progress):
        told.append((progress.epoch, progress.losses))
        if progress.epoch == stop_after:
            raise KillError

    experiment = parse(
        ExperimentConfig, put(VALUES, {path.replace("__", "."): value for path, value in changes.items()}), "x"
    )
    outcome = None
    try:
        data = experiment.data.load(Path())
        outcome = run(experiment, data, listen, checkpoints=folder, resume=resume, backup=backup)
        outcome.detector.save(folder / "detector")
    except KillError:
        pass
    return outcome, told


def assert_equal_files(first, second):
    for name in FILES:
        one, other = load_file(first / name), load_file(second / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[tensor], other[tensor]) for tensor in one), name


@pytest.mark.parametrize("stop_after", [1, 4, 6])
def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path, stop_after):
    whole, epochs = train(tmp_path / "whole")
    train(tmp_path / "parts", stop_after=stop_after)
    resumed, told = train(tmp_path / "parts", resume=True)
    assert_equal_files(tmp_path / "whole", tmp_path / "parts")
    assert resumed.history == whole.history
    assert told == epochs[stop_after - 1 :]  # the epoch before the kill may not have been told: it is told once more


def test_early_stopping_goes_on_counting_after_a_resume(tmp_path):
    changes = {
        "training__learning_rate": 0.5,
        "training__epochs": 30,
        "objective": {"terms": [{"kind": "squared_error"}]},
    }
    whole, _ = train(tmp_path / "whole", **changes)
    assert len(whole.history) < 30
    train(tmp_path / "parts", stop_after=len(whole.history) - 1, **changes)
    resumed, _ = train(tmp_path / "parts", resume=True, **changes)
    assert resumed.history == whole.history
    assert_equal_files(tmp_path / "whole", tmp_path / "parts")


def test_a_finished_training_is_not_trained_again(tmp_path):
    train(tmp_path)
    _, told = train(tmp_path, resume=True)
    assert [epoch for epoch, _ in told] == [6]


@pytest.mark.parametrize(("stop_after", "told_again"), [(5, 4), pytest.param(None, 6, marks=pytest.mark.slow)])
def test_a_backup_carries_a_training_to_another_machine(tmp_path, stop_after, told_again):
    whole, epochs = train(tmp_path / "whole")
    backup = Backup(tmp_path / "drive", every=4)
    train(tmp_path / "lost", stop_after=stop_after, backup=backup)
    resumed, told = train(tmp_path / "new", resume=True, backup=backup)
    assert told == epochs[told_again - 1 :]
    assert resumed.history == whole.history
    assert_equal_files(tmp_path / "whole", tmp_path / "new")


def test_a_backup_that_cannot_be_written_is_warned_of_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "drive").write_text("a file")
    outcome, _ = train(tmp_path / "new", backup=Backup(tmp_path / "drive", every=3))
    assert len(outcome.history) == 6
    assert [record.message for record in caplog.records if "drive: the state of training could not" in record.message]


@pytest.mark.slow
def test_without_resume_a_training_begins_anew(tmp_path):
    _, first = train(tmp_path)
    _, second = train(tmp_path)
    assert second == first


@pytest.mark.slow
def test_more_epochs_may_be_asked_for_after_a_training(tmp_path):
    train(tmp_path)
    resumed, told = train(tmp_path, resume=True, training__epochs=8, training__patience=8)
    assert [epoch for epoch, _ in told] == [6, 7, 8]
    assert len(resumed.history) == 8


@pytest.mark.parametrize(
    "change", [{"seed": 6}, {"model__width": 16}, {"data__seed": 1}, {"objective__mask__ratio": 0.2}]
)
def test_the_state_of_another_training_is_refused(tmp_path, change):
    train(tmp_path, stop_after=1)
    with pytest.raises(TrainingError, match="state of this very training, but seed, data, model or objective differ"):
        train(tmp_path, resume=True, **change)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_state_is_refused(tmp_path, content):
    (tmp_path / "training.safetensors").write_bytes(content)
    with pytest.raises(TrainingError, match=r"must be the state of a training, but .*; remove it to begin anew"):
        train(tmp_path, resume=True)


def process(folder):
    folder.mkdir(exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(VALUES))
    return subprocess.Popen(
        [sys.executable, REPOSITORY / "tests/training/interrupted_run.py", folder],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PATH": ""},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_process_killed_in_mid_epoch_is_resumed_to_equal_bits(tmp_path):
    folder = tmp_path / "killed"
    with process(folder) as running:
        while json.loads(running.stdout.readline())[0] < 2:
            pass
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not (folder / "detector").exists()
    with process(folder) as running:
        lines = [json.loads(line) for line in running.stdout]
    assert running.returncode == 0
    whole, _ = train(tmp_path / "whole")
    assert lines[-1] == [len(whole.history), whole.history[-1].curves()]
    assert lines[0][0] >= 2
    assert_equal_files(tmp_path / "whole", folder)
