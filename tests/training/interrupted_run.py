"""Trains the experiment of `test_resume` in a process of its own and tells each epoch: FOLDER [resume]."""

import json
import sys
from pathlib import Path

import torch

from tsad.config import ExperimentConfig
from tsad.experiment import run
from tsad.spec import parse

torch.set_num_threads(1)


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


experiment = parse(ExperimentConfig, json.loads((Path(sys.argv[1]) / "experiment.json").read_text()), "experiment.json")
outcome = run(
    experiment,
    experiment.data.load(Path()),
    lambda progress: tell([progress.epoch, progress.losses]),
    checkpoints=Path(sys.argv[1]),
    resume=True,
)
outcome.detector.save(Path(sys.argv[1]) / "detector")
tell([len(outcome.history), outcome.history[-1].curves()])
