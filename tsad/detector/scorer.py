"""Scorers: a fitted model with its scaler and scoring, from rows to scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tsad.data.scale import Precision, Scaler
from tsad.detector.scoring import (
    Scores,
    ScoringSpec,
    feature_scale,
    lookahead,
    lookback,
    predictions,
    row_errors,
    scores,
)
from tsad.errors import DataError, DetectorError, shown
from tsad.models import ModelSpec
from tsad.models.contract import Model
from tsad.series import Series
from tsad.spec import Spec
from tsad.training.checkpoints import check_weights, load_weights, save_weights

WEIGHTS = "weights.safetensors"


Divisor = Annotated[float, Field(gt=0)]
"""A number that rows or errors are divided by."""


class ScorerDescription(Spec):
    """Description of a scorer: everything except its weights.

    `precision` is saved only where it is float64, so that other detectors have the form and the digest that they always had.
    """

    features: tuple[str, ...] = Field(min_length=1)
    center: tuple[float, ...]
    scale: tuple[Divisor, ...]
    clip: float | None = Field(gt=0)
    precision: Precision = "float32"
    window_length: int = Field(ge=1, le=1_000_000)
    model: ModelSpec
    scoring: ScoringSpec
    error_scale: tuple[Divisor, ...]

    @model_validator(mode="after")
    def _equally_many(self) -> Self:
        if len({len(column) for column in (self.features, self.center, self.scale, self.error_scale)}) != 1:
            raise ValueError("features, center, scale and error_scale must be equally many")
        if len(set(self.features)) < len(self.features):
            raise ValueError("features must have names of their own")
        return self

    @model_serializer(mode="wrap")
    def _without_float32(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if (name, value) != ("precision", "float32")}


@dataclass(frozen=True, eq=False)
class Scorer:
    """Everything between a row and its score.

    Attributes:
        features: Names of the features, in the order of the columns.
        scaler: Scaler fitted on training rows.
        window_length: Number of rows in a window, L.
        model_spec: Spec that the model was built from.
        model: Fitted model in evaluation mode.
        scoring: Rule by which errors become scores.
        scale: (F,) divisors of the errors, fitted on validation rows.
    """

    features: tuple[str, ...]
    scaler: Scaler
    window_length: int
    model_spec: ModelSpec
    model: Model
    scoring: ScoringSpec
    scale: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        scaler: Scaler,
        window_length: int,
        model: tuple[ModelSpec, Model],
        scoring: ScoringSpec,
        validation: Series,
    ) -> "Scorer":
        """Returns the scorer of a fitted model, its divisors fitted on validation rows that are not yet scaled."""
        divisors = np.ones(len(validation.features))
        if scoring.scale != "none":
            divisors = feature_scale(scoring, row_errors(model[1], scaler.apply(validation), window_length, scoring))
        return cls(validation.features, scaler, window_length, *model, scoring, divisors)

    @property
    def kind(self) -> str:
        """Name in tables: the kind of the model."""
        return self.model_spec.kind

    @property
    def parameters(self) -> int:
        """Number of values in the weights of the model."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights of the model by name."""
        return dict(self.model.state_dict())

    @property
    def lookback(self) -> int:
        """Number of rows that a segment must have before its first scored row."""
        return lookback(self.scoring, self.window_length)

    @property
    def lookahead(self) -> int:
        """Number of rows that must follow a row before its score is known; 0 for a causal scorer."""
        return lookahead(self.scoring, self.model.steps)

    def score(self, series: Series, past: Series | None = None) -> Scores:
        """Returns one score per row; a row's score depends only on the `lookback` rows before and `lookahead` after it.

        Args:
            series: Rows to score.
            past: Rows that came right before, so that the first rows have scores too; they get no scores themselves.

        Raises:
            DataError: if the features are not those of the fit, or no segment has enough rows for one score.
        """
        if past is not None:
            return score_after(past, series, self.lookback, self.score)
        needed = self.lookback + self.lookahead + 1
        check_rows(series, self.features, needed, f"window of {self.window_length}, then smoothing")
        return self.score_errors(series, self.errors(series))

    @property
    def error_key(self) -> tuple[object, ...]:
        """Key that scorers share if they give the same rows the same errors: members of an average of the same model."""
        return id(self.model), id(self.scaler), self.window_length, self.scoring.error, self.scoring.over

    def errors(self, series: Series) -> NDArray[np.float64]:
        """Returns the (T, F) errors of rows that are not yet scaled, NaN where no window gives one."""
        return row_errors(self.model, self.scaler.apply(series), self.window_length, self.scoring)

    def score_errors(self, series: Series, errors: NDArray[np.float64]) -> Scores:
        """Returns the scores of rows from their errors."""
        return scores(self.scoring, series, errors, self.scale)

    def sharing(self, others: Sequence["Scorer"]) -> "Scorer":
        """Returns this scorer with the model of one of the others, if one has an equal model and an equal scaler.

        Use it for scorers that were saved one by one, so that equal models are in memory once and compute errors once.
        """
        for other in others:
            if self._has_model_of(other):
                return replace(self, model=other.model, scaler=other.scaler)
        return self

    def _has_model_of(self, other: "Scorer") -> bool:
        own, others = (scorer.describe().model_dump(exclude={"scoring", "error_scale"}) for scorer in (self, other))
        tensors = other.tensors
        return own == others and all(torch.equal(tensor, tensors[name]) for name, tensor in self.tensors.items())

    def predictions(self, series: Series) -> NDArray[np.float64] | None:
        """Returns the (T, F) prediction of each row in the units of the series: the last step of the window that ends there.

        NaN where no window ends; None for a model that gives anomaly scores and predicts nothing. Where the scaler clips,
        it is the prediction of the clipped row.

        Raises:
            ValueError: if no segment is long enough for one window.
        """
        scaled = predictions(self.model, self.scaler.apply(series), self.window_length)
        return None if scaled is None else scaled * self.scaler.scale + self.scaler.center

    def describe(self) -> ScorerDescription:
        """Returns the description of the scorer."""
        return ScorerDescription(
            features=self.features,
            center=tuple(self.scaler.center.tolist()),
            scale=tuple(self.scaler.scale.tolist()),
            clip=self.scaler.clip,
            precision=self.scaler.precision,
            window_length=self.window_length,
            model=self.model_spec,
            scoring=self.scoring,
            error_scale=tuple(self.scale.tolist()),
        )

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors` into `folder`, made if absent."""
        save_weights(self.tensors, folder / WEIGHTS)

    @classmethod
    def restore(cls, description: ScorerDescription, folder: Path, source: str, device: str) -> "Scorer":
        """Returns the scorer that `describe` described and `save` wrote.

        Args:
            description: Description of the scorer.
            folder: Folder that holds the weights.
            source: Name of the file that holds the description, for errors.
            device: Device of the model.

        Raises:
            DetectorError: if the weights are damaged or another model's, or the description contradicts itself.
        """
        model = _restored(description, folder / WEIGHTS, source)
        return cls(
            features=description.features,
            scaler=Scaler(
                np.array(description.center), np.array(description.scale), description.clip, description.precision
            ),
            window_length=description.window_length,
            model_spec=description.model,
            model=model.to(torch.device(device)).eval(),
            scoring=description.scoring,
            scale=np.array(description.error_scale),
        )


def _restored(description: ScorerDescription, weights: Path, source: str) -> Model:
    """Returns the model with its weights; raises `DetectorError` if they do not fit, before memory is taken for a huge one."""

    def build() -> Model:
        return description.model.build(len(description.features), description.window_length)

    try:
        with torch.device("meta"):  # shapes without values
            check_weights(build(), weights)
        model = build()
    except (ValueError, RuntimeError, OverflowError, MemoryError, TypeError) as error:
        raise DetectorError(
            f"{source}: model, window and features must fit each other, but {shown(str(error), 300)}"
        ) from None
    load_weights(model, weights)
    try:
        model.check_values()
    except ValueError as error:
        raise DetectorError(f"{weights}: weights must be finite, but {error}; train the detector again") from None
    return model


def score_after(past: Series, series: Series, lookback: int, score: Callable[[Series], Scores]) -> Scores:
    """Returns the scores of `series` when `score` sees the last `lookback` rows of `past` before them."""
    scores_with_past = score(past.part(max(0, len(past) - lookback), len(past)).then(series))
    return Scores(scores_with_past.values[-len(series) :], scores_with_past.by_feature[-len(series) :])


def check_rows(series: Series, features: tuple[str, ...], needed: int, made_of: str) -> None:
    """Raises `DataError` unless these are the features, and some segment has the `needed` rows that a score is `made_of`."""
    if series.features != features:
        raise DataError(f"features must be {list(features)}, in this order, but got {list(series.features)}")
    longest = max(after - first for first, after in series.segments())
    if longest < needed:
        raise DataError(
            f"a score needs at least {needed} consecutive rows ({made_of}), but got {longest}; send more rows"
        )
