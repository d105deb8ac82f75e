"""That a stream does not grow, and what a row costs in it.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py [--pushes 500] [--rows 1000000] [--chunk 1000] [--fill-to 4]

Rows have the width of SMD, 38 features; windows are 100 rows long. First, how far the peak of the process's memory rises
while the cheapest detector gets many rows in chunks, counted from a tenth of them on. Then, per detector: median and 99th
percentile of the milliseconds that one pushed row takes, smoothing, normalization and threshold included; the batch's
milliseconds per row, the ratio of the two, the largest difference of a score from the batch's, relative to the larger of
the score and the median score, and the size of the saved state. Networks are as they were drawn: training changes no cost.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsad.data.scale import StandardScalerSpec
from tsad.detector.detector import Detector, Scorer
from tsad.detector.scoring import MeanSmoothing, RollingMedianNormalization, ScoringSpec
from tsad.models import ModelSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.models.baselines.multiscale import MultiscaleLinearSpec
from tsad.models.contract import ClosedFormModel
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.models.tcn_ae import TcnAutoencoderSpec
from tsad.models.transformer_ae import TransformerAutoencoderSpec
from tsad.series import Series
from tsad.streaming import ScoredRows, Stream, StreamPolicy
from tsad.thresholds.percentile import PercentileSpec
from tsad.training.seeds import seeded
from tsad.windows import cut

FEATURES, LENGTH = 38, 100
SCORING = ScoringSpec(
    scale="validation",
    smooth=MeanSmoothing(kind="mean", length=10),
    normalization=RollingMedianNormalization(kind="rolling_median", length=1440),
)
SPECS = (
    L2Spec(kind="l2"),
    MultiscaleLinearSpec(kind="multiscale_linear"),
    LstmAutoencoderSpec(kind="lstm_ae"),
    TcnAutoencoderSpec(kind="tcn_ae"),
    TransformerAutoencoderSpec(kind="transformer_ae"),
    RecurrentForecasterSpec(kind="recurrent_forecaster"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=500, help="single rows that are timed")
    parser.add_argument("--rows", type=int, default=1_000_000, help="that memory is watched over; 0 leaves this out")
    parser.add_argument("--chunk", type=int, default=1_000)
    parser.add_argument("--fill-to", type=int, default=StreamPolicy().fill_to)
    arguments = parser.parse_args()
    policy = StreamPolicy(fill_to=arguments.fill_to)

    if arguments.rows:  # first, since nothing before it may raise the peak
        print(memory_line(policy, arguments.rows, arguments.chunk), flush=True)
    print(
        f"{'detector':22}{'median ms':>11}{'p99 ms':>9}{'batch ms':>10}{'ratio':>7}{'difference':>12}{'state KiB':>11}"
    )
    for spec in SPECS:
        print(f"{spec.kind:22}{row_of(spec, policy, arguments.pushes)}", flush=True)


def waves(rows: int, seed: int) -> Series:
    """Returns sensors that share a few waves, with noise."""
    generator = np.random.default_rng(seed)
    shared = np.sin(np.arange(rows)[:, None] / np.array([3, 11, 40, 200]))
    values = shared @ generator.normal(size=(4, FEATURES)) + 0.3 * generator.normal(size=(rows, FEATURES))
    return Series(values.astype(np.float32), tuple(f"sensor {place}" for place in range(FEATURES)))


def detector_of(spec: ModelSpec) -> Detector:
    """Returns a detector whose closed forms are fitted."""
    series = waves(3_000, seed=0)
    scaler = StandardScalerSpec().fit(series)
    with seeded(0):
        model = spec.build(FEATURES, LENGTH).eval()
    if isinstance(model, ClosedFormModel):
        model.fit(cut(scaler.apply(series), LENGTH))
    scorer = Scorer.fit(scaler, LENGTH, (spec, model), SCORING, series.part(0, 500))
    return Detector(scorer, PercentileSpec(percentile=99).fit(scorer.score(series).values))


def row_of(spec: ModelSpec, policy: StreamPolicy, pushes: int) -> str:
    detector = detector_of(spec)
    before = detector.scorer.lookback
    series = waves(before + pushes, seed=1)
    stream = Stream(detector, policy)
    stream.push(series.values[:before])
    seconds, found = [], ScoredRows.none(FEATURES)
    for row in range(before, len(series)):
        started = time.perf_counter()
        anomaly_scores = stream.push(series.values[row : row + 1])
        seconds.append(time.perf_counter() - started)
        found = found.then(anomaly_scores)

    started = time.perf_counter()
    scores = detector.score(series).values[before:]
    batch = (time.perf_counter() - started) / len(series)
    median, rare = np.quantile(seconds, [0.5, 0.99])
    return (
        f"{1e3 * median:11.2f}{1e3 * rare:9.2f}{1e3 * batch:10.3f}{median / batch:7.1f}"
        f"{difference(found.scores, scores):12.1e}{state_size(stream) / 1024:11.0f}"
    )


def difference(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    return float((np.abs(found - expected) / np.maximum(expected, np.median(expected))).max())


def state_size(stream: Stream) -> int:
    with tempfile.TemporaryDirectory() as folder:
        stream.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def memory_line(policy: StreamPolicy, rows: int, chunk: int) -> str:
    stream = Stream(detector_of(SPECS[0]), policy)
    values = waves(chunk, seed=2).values
    first = None
    while stream.rows < rows:
        stream.push(values)
        if first is None and stream.rows >= rows / 10:
            first = peak()
    assert first is not None
    return (
        f"peak memory rose by {peak() - first:.1f} MiB, from {first:.0f} MiB after a tenth of {stream.rows:,} rows "
        f"in chunks of {chunk:,}\n"
    )


def peak() -> float:
    """Returns the most MiB that the process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
