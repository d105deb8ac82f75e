"""From errors to one score per row: larger is stranger, NaN where there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pandas import Series as Column
from pydantic import Field
from torch import Tensor

from tsad.errors import stop_if_asked
from tsad.models.contract import Model, Prediction
from tsad.series import Series
from tsad.spec import Spec
from tsad.windows import Windows, cut

BATCH = 128
"""Windows in a scoring batch. Every batch has this size, the last one filled up, so that a window meets the same
arithmetic wherever it stands: chunks of a series get the scores of the whole. Only a stream does without the filling."""

Number = TypeVar("Number", bound=np.generic)

_FEW = 16
"""Rows up to which a median of each is cheaper than one that rolls over them all."""


class NoSmoothing(Spec):
    """Scores as they are."""

    kind: Literal["none"] = "none"

    @property
    def length(self) -> int:
        """Number of rows whose scores make a smoothed score."""
        return 1


class MeanSmoothing(Spec):
    """Causal moving average: a row gets the mean of the last `length` scores, NaN until there are as many.

    Attributes:
        length: Number of scores that are averaged.
    """

    kind: Literal["mean"]
    length: int = Field(10, ge=1)


class NoNormalization(Spec):
    """Scores as they are."""

    kind: Literal["none"] = "none"

    @property
    def length(self) -> int:
        """Number of earlier rows that a score is compared with."""
        return 0


class RollingMedianNormalization(Spec):
    """Divides a score by the median of the `length` scores before it, to the power of `share`.

    Recently frequent scores count less, so drift and lasting shifts do not hide what comes after them. A long anomaly fades
    too, the more the larger the share. Scores must not be negative; those before a median of 0 stay as they are. NaN
    until there are `length` scores.

    Attributes:
        length: Number of earlier scores, a day of them for example; more than twice the longest anomaly that should not fade.
        share: Exponent of the median, from 0 (no effect) to 1 (only the ratio to the recent past counts).
    """

    kind: Literal["rolling_median"]
    length: int = Field(1440, ge=2)
    share: float = Field(0.5, ge=0, le=1)


class ScoringSpec(Spec):
    """Steps from errors of a model to scores: the section `scoring` of an experiment.

    A score depends on a fixed number of rows around it and on nothing else, not on how many rows were passed.

    Attributes:
        error: Error of a step and feature: `squared` or `absolute` difference from the prediction.
        over: Errors that a row gets: `last`, that of the last step of the window that ends at the row; `window`, the
            mean over the steps of that window; `mean`, the mean over all L windows that cover the row, known only
            L - 1 rows later.
        scale: Divisor of a feature's error: its mean on validation rows (`validation`), or 1 (`none`).
        compress: Transformation of a feature's error: log(1 + error) (`log1p`), its root (`root`) or none, so that one extreme
            feature does not hide the others.
        features: Aggregation of the features of a row: `mean` or `max`.
        smooth: Smoothing of the scores over time.
        normalization: Normalization of the smoothed scores by earlier ones.
    """

    error: Literal["squared", "absolute"] = "squared"
    over: Literal["last", "window", "mean"] = "last"
    scale: Literal["none", "validation"] = "none"
    compress: Literal["none", "log1p", "root"] = "none"
    features: Literal["mean", "max"] = "mean"
    smooth: Annotated[NoSmoothing | MeanSmoothing, Field(discriminator="kind")] = NoSmoothing()
    normalization: Annotated[NoNormalization | RollingMedianNormalization, Field(discriminator="kind")] = (
        NoNormalization()
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of T rows.

    Attributes:
        values: (T,) float64 scores, NaN where a row has none.
        by_feature: (T, F) float64 contributions of the features before smoothing, NaN where a row has no score.
    """

    values: NDArray[np.float64]
    by_feature: NDArray[np.float64]


def lookback(spec: ScoringSpec, window_length: int) -> int:
    """Returns how many rows a segment must have before its first scored row."""
    return window_length - 1 + spec.smooth.length - 1 + spec.normalization.length


def lookahead(spec: ScoringSpec, steps: int) -> int:
    """Returns how many rows must follow a row before its score is known; `steps` is the H of the model."""
    return steps - 1 if spec.over == "mean" else 0


def row_errors(model: Model, series: Series, window_length: int, spec: ScoringSpec) -> NDArray[np.float64]:
    """Returns the (T, F) error of each row of a scaled series, NaN where no window (for `mean`: not every window) gives one."""
    total, count = error_sums(model, cut(series, window_length), spec)
    needed = lookahead(spec, model.steps) + 1
    total[count < needed] = torch.nan
    values: NDArray[np.float64] = (total / needed).numpy()
    return values


def error_sums(model: Model, windows: Windows, spec: ScoringSpec, fill_to: int = BATCH) -> tuple[Tensor, Tensor]:
    """Returns the (T, F) float64 sums of the errors that windows give rows, and (T,) how many errors each is the sum of.

    Args:
        model: Model that predicts the windows.
        windows: Windows of T scaled rows.
        spec: Scoring; it defines the rows that a window has errors for: all that it predicts (`mean`), or its last one.
        fill_to: Number of windows that a batch is filled up to, at most `BATCH`. A window in a smaller batch may meet other
            arithmetic: its prediction differs by about 1e-7 of its size.
    """
    total = torch.zeros(windows.rows.shape, dtype=torch.float64)
    count = torch.zeros(len(windows.rows), dtype=torch.int64)
    for rows, batch, prediction in _predicted(model, windows, fill_to):
        difference = prediction.residual(batch)
        error = (difference.square() if spec.error == "squared" else difference.abs()).double().cpu()[: len(rows)]
        if spec.over == "mean":
            rows = (rows[:, None] + torch.arange(1 - model.steps, 1)).flatten()  # (B * H,)
            total.index_add_(0, rows, error.flatten(end_dim=1))
        else:
            total[rows] = error[:, -1] if spec.over == "last" else error.mean(dim=1)
        count.index_add_(0, rows, torch.ones_like(rows))
    return total, count


def predictions(model: Model, series: Series, window_length: int) -> NDArray[np.float64] | None:
    """Returns the (T, F) prediction of each row of a scaled series from the last step of the window that ends there.

    NaN where no window ends; None for a model that gives anomaly scores and predicts nothing.
    """
    values = torch.full(series.values.shape, torch.nan, dtype=torch.float64)  # noqa: PD011
    for rows, _, prediction in _predicted(model, cut(series, window_length)):
        if prediction.anomaly_score is not None:
            return None
        values[rows] = prediction.values[: len(rows), -1].double().cpu()  # noqa: PD011
    return values.numpy()


@torch.no_grad()
def _predicted(model: Model, windows: Windows, fill_to: int = BATCH) -> Iterator[tuple[Tensor, Tensor, Prediction]]:
    """Yields the last row of each of B windows, (B,), the `fill_to` or more that they are the first of, and their prediction."""
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    for first in range(0, len(windows), BATCH):
        stop_if_asked()
        indices = torch.arange(first, min(first + BATCH, len(windows)))
        missing = max(0, fill_to - len(indices))
        batch = windows.take(torch.nn.functional.pad(indices, (0, missing), value=int(indices[-1]))).to(device)
        yield windows.ends[indices], batch, model(batch)


def feature_scale(spec: ScoringSpec, validation_errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the (F,) divisors of errors: ones, or the means on validation rows.

    No divisor is below a hundredth of their mean: a feature that is predicted perfectly would otherwise rule the score.
    """
    if spec.scale == "none":
        return np.ones(validation_errors.shape[1])
    means = np.nanmean(validation_errors, axis=0)
    scale: NDArray[np.float64] = np.maximum(means, max(0.01 * float(means.mean()), 1e-12))
    return scale


def scores(spec: ScoringSpec, series: Series, error: NDArray[np.float64], scale: NDArray[np.float64]) -> Scores:
    """Returns the scores of rows from their (T, F) errors and the (F,) divisors."""
    by_feature, raw = feature_scores(spec, error, scale)
    parts = [over_time(spec, raw[first:after], Past.none(spec))[0] for first, after in series.segments()]
    return Scores(values=np.concatenate(parts), by_feature=by_feature)


def feature_scores(
    spec: ScoringSpec, error: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the (T, F) contributions of the features and their (T,) aggregate before smoothing; each row by itself."""
    by_feature = error / scale
    if spec.compress == "log1p":
        by_feature = np.log1p(by_feature)
    elif spec.compress == "root":
        by_feature = np.sqrt(by_feature)
    return by_feature, by_feature.mean(axis=1) if spec.features == "mean" else by_feature.max(axis=1)


class Past(NamedTuple):
    """State that smoothing and normalization carry over from earlier rows, NaN where the segment had none.

    Attributes:
        raw: (smooth.length - 1,) last numbers before smoothing.
        smoothed: (normalization.length,) last numbers after smoothing.
    """

    raw: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @classmethod
    def none(cls, spec: ScoringSpec) -> "Past":
        """Returns the state of the first row of a segment."""
        return cls(np.full(spec.smooth.length - 1, np.nan), np.full(spec.normalization.length, np.nan))


def over_time(spec: ScoringSpec, raw: NDArray[np.float64], past: Past) -> tuple[NDArray[np.float64], Past]:
    """Returns the (T,) scores of rows from their numbers before smoothing, and the past of the row after them."""
    if not len(raw):
        return raw, past
    raw = np.concatenate([past.raw, raw])
    smoothed = sliding_window_view(raw, spec.smooth.length).mean(axis=1)
    values, before = smoothed, np.concatenate([past.smoothed, smoothed])
    if isinstance(spec.normalization, RollingMedianNormalization):
        median = _medians(before[:-1], spec.normalization.length)
        values = smoothed / np.where(median == 0, 1.0, median) ** spec.normalization.share
    return values, Past(last(raw, len(past.raw)), last(before, len(past.smoothed)))


def last(rows: NDArray[Number], count: int) -> NDArray[Number]:
    """Returns a copy of the last rows, so that no view keeps the others in memory; all if they are not more than `count`."""
    return rows[max(0, len(rows) - count) :].copy()


def _medians(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Returns the median of each `length` neighbors, NaN if one is NaN or infinite; the same bits by either way."""
    if len(values) - length < _FEW:
        finite = np.where(np.isinf(values), np.nan, values)
        return np.asarray(np.median(sliding_window_view(finite, length), axis=1))
    return Column(values).rolling(length).median().to_numpy()[length - 1 :]
