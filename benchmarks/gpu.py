"""Every model on CUDA beside the CPU: are the losses the same, how fast is it, how much memory does it take.

    PYTHONPATH=. python benchmarks/gpu.py [--steps 5] [--batch 32] [--length 32] [--features 38] [--device auto]

Networks take some training steps under a mask with all loss terms there are, on each device and in each precision, from
the same initial weights, batches, masks and noise, without dropout and without TF32. `off` is the largest relative
difference of any term at any step, in training and in validation: of everything from float32 on the CPU, and of that
from float64, which shows what rounding alone does. Closed forms are fitted and score later rows on each device; `off` is
the largest difference of a score from the CPU's, relative to that score and the mean score together. Exit status 1 if
anything is off by more than is allowed.

Speed is that of training with the squared error, or of scoring for a closed form, in torch's default settings (TF32 in
convolutions and recurrent layers). Memory is the peak of what torch holds in one step, weights and optimizer included.

Needs torch, numpy, pydantic and what `tsad.models` and `tsad.training` import: scikit-learn, PyYAML, safetensors. Neither
MLflow nor Ray.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

from tsad.detector.scoring import ScoringSpec, row_errors
from tsad.losses import TermSpec
from tsad.losses.contract import TrainingContext
from tsad.masking import GeometricMask
from tsad.models import ModelSpec
from tsad.models.contract import ClosedFormModel
from tsad.series import Series
from tsad.training.epoch_losses import EpochLosses
from tsad.training.loop import TrainingSpec, train
from tsad.training.objective import ObjectiveSpec, trainables
from tsad.training.seeds import seeded
from tsad.windows import Windows

ALLOWED = {"float32": 2e-5, "bfloat16": 2e-2}
"""How far a loss may be off in up to ten steps. Rounding to the 24 bits of float32 moves these losses by some 1e-7, 1e-6 at
most (CPU against float64), so another order of summation stays far below 2e-5. The 8 bits of bfloat16 move them by 8e-4 to
1e-2, the more the smaller batches are, and the 11 bits of TF32 would by an eighth of that: 2e-5 tells whether it is off."""

ALLOWED_OF_SCORES = 1e-4
"""How far a score may be off. Distances are found as |a|^2 - 2ab + |b|^2, which loses digits where a neighbor is near, so
that a device may take one neighbor for another that is as near to five digits."""


class Sizes(NamedTuple):
    """What the options say."""

    steps: int
    batch: int
    length: int
    features: int


class Case(NamedTuple):
    """Where and in which precision."""

    device: str
    precision: str


class Line(NamedTuple):
    """A line of the table; `losses` are those of the first and of the last step."""

    model: str
    case: Case
    losses: tuple[float, float] | None
    off: float | None
    allowed: float
    windows_per_second: float
    mebibytes: float

    @property
    def missed(self) -> bool:
        return self.off is not None and not self.off <= self.allowed  # NaN is a miss

    def __str__(self) -> str:
        first, last = ("", "") if self.losses is None else (f"{loss:.5f}" for loss in self.losses)
        off, allowed = ("", "") if self.off is None else (f"{self.off:.1e}", f"{self.allowed:.0e}")
        speed, memory = f"{self.windows_per_second:,.0f}", f"{self.mebibytes:.1f}"
        cells = LAYOUT.format(self.model, *self.case, first, last, off, allowed, speed, memory)
        return cells + "  MISSED" * self.missed


LAYOUT = "{:<24} {:<5} {:<9} {:>9} {:>9} {:>8} {:>8} {:>10} {:>8}"
HEADING = LAYOUT.format("model", "on", "in", "first", "last loss", "off", "allowed", "windows/s", "MiB")


def main(arguments: list[str] | None = None) -> int:
    sizes, devices = read_arguments(arguments)
    place = torch.cuda.get_device_name() if "cuda" in devices else "no CUDA here or not wanted, so the CPU alone"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads, {place}")
    print(*(f"{name} {value}" for name, value in sizes._asdict().items()), sep=", ")
    print(HEADING)
    missed = 0
    for spec in specs(ModelSpec):
        closed = isinstance(spec.build(sizes.features, sizes.length), ClosedFormModel)
        for line in (score_lines if closed else train_lines)(spec, sizes, devices):
            print(line, flush=True)
            missed += line.missed
    print(f"off by more than is allowed: {missed or 'nothing'}")
    return int(missed > 0)


def read_arguments(arguments: list[str] | None) -> tuple[Sizes, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="training steps")
    parser.add_argument("--batch", type=int, default=32, help="windows in a step")
    parser.add_argument("--length", type=int, default=32, help="rows in a window")
    parser.add_argument("--features", type=int, default=38, help="features of a row")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="cpu leaves CUDA out")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device")
    sizes = Sizes(given.steps, given.batch, given.length, given.features)
    if min(sizes) < 1:
        parser.error(f"steps, batch, length and features must be at least 1, but got {', '.join(map(str, sizes))}")
    try:
        for spec in specs(ModelSpec):
            spec.build(sizes.features, sizes.length)
    except ValueError as error:
        parser.error(str(error))
    both = given.device != "cpu" and torch.cuda.is_available()
    return sizes, ["cpu", "cuda"] if both else ["cpu"]


def specs(union: Any) -> list[Any]:
    """Returns every member of a union as a YAML with nothing but its kind describes it, without dropout."""
    found = []
    for member in get_args(get_args(union)[0]):
        quiet = {"dropout": 0.0} if "dropout" in member.model_fields else {}
        found.append(member(kind=get_args(member.model_fields["kind"].annotation)[0], **quiet))
    return found


# --- networks ---


def train_lines(spec: Any, sizes: Sizes, devices: list[str]) -> Iterator[Line]:
    everything = ObjectiveSpec(mask=GeometricMask(kind="geometric"), terms=tuple(specs(TermSpec)))
    exact, plain = Case("cpu", "float64"), Case("cpu", "float32")
    losses = {}
    for case in (exact, *(Case(device, precision) for device in devices for precision in ALLOWED)):
        with without_tf32(), DrawnOnCpu():
            losses[case], _ = learn(spec, sizes, case, everything, epochs=sizes.steps, batches=1)
        if case == exact:
            continue
        off = difference(losses[case], losses[exact if case == plain else plain])
        _, ends = learn(spec, sizes, case, ObjectiveSpec(), epochs=2, batches=sizes.steps)
        speed = sizes.steps * sizes.batch / (ends[1] - ends[0])  # the first epoch warms up
        memory = peak(case.device, partial(learn, spec, sizes, case, ObjectiveSpec(), epochs=1, batches=1))
        total = [epoch.curves()["train/loss"] for epoch in losses[case]]
        yield Line(spec.kind, case, (total[0], total[-1]), off, ALLOWED[case.precision], speed, memory)


def learn(
    spec: Any, sizes: Sizes, case: Case, objective: ObjectiveSpec, *, epochs: int, batches: int
) -> tuple[list[EpochLosses], list[float]]:
    """Returns the losses of each epoch, and when it had ended; with one batch an epoch, every epoch is one step."""
    rows = waves(batches * sizes.batch + sizes.length - 1, sizes.features)
    windows = windows_of(rows, sizes, case)
    held = windows_of(rows[: sizes.length - 1 + (sizes.batch if batches == 1 else 1)], sizes, case)  # costs no time
    precision = "bfloat16" if case.precision == "bfloat16" else "float32"
    training = TrainingSpec(epochs=epochs, patience=epochs, batch_size=sizes.batch, precision=precision)
    ends: list[float] = []
    with seeded(0) as generator:
        model = spec.build(sizes.features, sizes.length).to(windows.rows)
        seats = trainables(model, objective, TrainingContext(windows.rows, generator))
        seats[0].judges.to(windows.rows)  # a critic is built in float32
        losses = train(
            model, seats, training, (windows, held), generator, lambda *_: ends.append(time.perf_counter()), None
        )
    return losses, ends


def difference(found: list[EpochLosses], expected: list[EpochLosses]) -> float:
    """Returns the largest relative difference of any curve at any step; NaN if there is one in them."""
    pairs = [
        (one.curves()[name], value)
        for one, other in zip(found, expected, strict=True)
        for name, value in other.curves().items()
    ]
    return float(np.max([abs(one - other) / max(abs(other), 1e-12) for one, other in pairs]))


class DrawnOnCpu(TorchFunctionMode):
    """Makes torch draw noise on the CPU and send it where it is wanted: the generators of CUDA have other numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in {torch.rand, torch.randn} and "device" in kwargs:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


@contextmanager
def without_tf32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


# --- closed forms ---


def score_lines(spec: Any, sizes: Sizes, devices: list[str]) -> Iterator[Line]:
    count = sizes.steps * sizes.batch + sizes.length - 1
    rows = waves(2 * count, sizes.features)
    later = Series(rows[count:], tuple(map(str, range(sizes.features))))
    expected = None
    for case in (Case(device, "float32") for device in devices):
        with seeded(0), without_tf32():
            model = spec.build(sizes.features, sizes.length).to(case.device)
            model.fit(windows_of(rows[:count], sizes, case))
            scores = row_scores(model, later, sizes)
        start = time.perf_counter()
        row_scores(model, later, sizes)
        speed = len(scores) / (time.perf_counter() - start)
        memory = peak(case.device, partial(row_scores, model, later, sizes))
        off = None if expected is None else score_difference(scores, expected)
        expected = scores if expected is None else expected
        yield Line(spec.kind, case, None, off, ALLOWED_OF_SCORES, speed, memory)


def score_difference(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Returns the largest difference of a score, relative to what it should be and the mean together; 0 if all are 0."""
    return float(np.max(np.abs(found - expected) / (expected + expected.mean() + 1e-12)))


def row_scores(model: ClosedFormModel, series: Series, sizes: Sizes) -> NDArray[np.float64]:
    """Returns the (N,) scores of the rows that end a window."""
    scores: NDArray[np.float64] = row_errors(model, series, sizes.length, ScoringSpec())[sizes.length - 1 :].mean(
        axis=1
    )
    return scores


# --- rows, memory ---


def waves(rows: int, features: int) -> NDArray[np.float32]:
    """Returns (T, F) features that share two waves, with a little noise."""
    generator = np.random.default_rng(0)
    place = np.arange(rows)[:, None]
    values = np.hstack([np.sin(place / 3), np.cos(place / 5)]) @ generator.normal(size=(2, features))
    return (values + 0.1 * generator.normal(size=values.shape)).astype(np.float32)


def windows_of(rows: NDArray[np.float32], sizes: Sizes, case: Case) -> Windows:
    """Returns all windows of the rows where the case is at home, in float64 if that is its precision."""
    dtype = torch.float64 if case.precision == "float64" else torch.float32
    starts = torch.arange(len(rows) - sizes.length + 1, device=case.device)
    return Windows(torch.from_numpy(rows).to(case.device, dtype), starts, sizes.length)


def peak(device: str, action: Callable[[], object]) -> float:
    """Returns how many MiB more than before torch held at most in the action."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    os.environ.setdefault("KINETO_LOG_THRESHOLD", "99")  # the profiler otherwise reports itself
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        action()
    changes = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    highest: int = max(accumulate((event.nbytes() for event in changes), initial=0))
    return highest / 2**20


if __name__ == "__main__":
    sys.exit(main())
