"""A detector behind scikit-learn's interface: fit, score_samples, decision_function, predict."""

from collections.abc import Mapping
from operator import index
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tsad.arrays import Floats
from tsad.config import DetectorSpec
from tsad.data.precision import narrowed
from tsad.fitting import fit_detector
from tsad.series import Series
from tsad.spec import parse

Section = Mapping[str, Any] | None
"""A section of an experiment as plain values, or None for its defaults."""


class OutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Any of our models as one of scikit-learn's outlier detectors; rows are consecutive in time, the oldest first.

    The default compares each row with the mean of the training rows, in deviations, and with nothing else: every row of
    any table gets a score, and a row alone the same as among others, which is what scikit-learn expects. Models that look
    at rows together find more; mean PR-AUC over twelve machines of SMD: .48 by default, and .58 with

        OutlierDetector(
            model={"kind": "window_linear"}, window={"length": 16}, scoring={"over": "window", "compress": "log1p"}
        )

    A row is then scored by the rows that end at it. The first ones, here 15, have no score, as at the start of every
    table that is passed: NaN from `score_samples` and `decision_function`, and 1, not flagged, from `predict`. Pass them
    the rows before those of interest. Do not shuffle: cross-validate with `TimeSeriesSplit`.

    Sections are searched whole, `{"window": [{"length": 8}, {"length": 16}]}`; they have no parameters `window__length`.

    Args:
        model: Section of an experiment, `{"kind": "lstm_ae", "hidden": 32}` for example; `l2` by default.
        window: Section `window`; by default 1 row for the default model, else the default of an experiment.
        scaler: Section `scaler`; by default that of an experiment, as for all sections below.
        objective: Section `objective`: the loss that training minimizes.
        training: Section `training`: how long and how fast the model is trained.
        scoring: Section `scoring`: how errors become scores.
        threshold: Section `threshold`: how scores become flags.
        validation: Fraction of the rows, the last ones, that stop training and that the threshold is fitted on; above 0, below 1.
        seed: Seed of all random draws.

    Attributes:
        detector_: Fitted `Detector`, which is saved without pickle.
        offset_: Minus the threshold above which our score is flagged; `decision_function` is `score_samples - offset_`. Of a
            threshold that follows the scores it is minus the threshold of the first row, and `decision_function` takes that
            of each row; every table starts anew from what was fitted.
        n_features_in_: Number of features of the fit.
        feature_names_in_: Names of the features, if the fit got a table whose column names are text.
    """

    def __init__(
        self,
        model: Section = None,
        window: Section = None,
        scaler: Section = None,
        objective: Section = None,
        training: Section = None,
        scoring: Section = None,
        threshold: Section = None,
        validation: float = 0.25,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.window = window
        self.scaler = scaler
        self.objective = objective
        self.training = training
        self.scoring = scoring
        self.threshold = threshold
        self.validation = validation
        self.seed = seed

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fits to (T, F) rows, most of them normal, oldest first; `y` is ignored.

        Between the rows that the model is fitted on and those of the validation, as many are left out as one score looks
        at.

        Raises:
            SpecError: if a section does not describe anything.
            ValueError: if the rows are too few for window and smoothing, not finite numbers in float32, or labels would
                be needed.
            TrainingError: if a loss is not finite.
        """
        spec = parse(DetectorSpec, self._sections(), type(self).__name__)
        rows = self._series(X, reset=True)
        fit, validation = narrowed(*_cut(rows, self.validation, spec.lookback))
        self.detector_ = fit_detector(spec, fit, validation)
        self.offset_ = -float(self.detector_.threshold.per_row(np.array([np.nan]))[0])
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Returns (T,) minus our score, so that the strangest rows have the lowest values; NaN where there is no score.

        Raises:
            DataError: if the rows are too few for one score.
        """
        check_is_fitted(self)
        return -self.detector_.score(self._series(X, reset=False)).values

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Returns (T,) values that are below 0 where a row is flagged; NaN where there is no score."""
        scores = self.score_samples(X)
        return scores + self.detector_.threshold.per_row(-scores)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:  # noqa: N803
        """Returns (T,) -1 where a row is flagged and 1 elsewhere, rows without a score included."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _sections(self) -> dict[str, Any]:
        """Returns the sections that are set, and the model."""
        names = ("model", "window", "scaler", "objective", "training", "scoring", "threshold")
        sections = {name: section for name in names if (section := getattr(self, name)) is not None}
        default = {} if "model" in sections else {"model": {"kind": "l2"}, "window": {"length": 1}}
        return {"seed": index(self.seed)} | default | sections  # a grid of numpy's has integers of numpy's

    def _series(self, X: ArrayLike, *, reset: bool) -> Series:  # noqa: N803
        values = validate_data(self, X, reset=reset, dtype=np.float64)
        _check_size(values)
        unnamed = [f"x{column}" for column in range(self.n_features_in_)]
        return Series(values, tuple(getattr(self, "feature_names_in_", unnamed)))


def _check_size(values: Floats) -> None:
    """Raises ValueError, as scikit-learn words it, if a value is beyond float32, which scaled values are in."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float32'), but got {largest:g}; scale it"
        )


def _cut(rows: Series, validation: float, before: int) -> tuple[Series, Series]:
    """Returns the rows to fit on and the validation rows; a score looks at `before` rows and the one that it is of."""
    if not 0 < validation < 1:
        raise ValueError(f"validation must be a share of the rows, above 0 and below 1, but got {validation}")
    reach = before + 1
    held = round(len(rows) * validation)
    fitted = len(rows) - held
    if min(fitted, held - reach) < reach:
        raise ValueError(
            f"rows to fit on and validation rows must hold the {reach} rows of one score each, with as many between them, "
            f"but got n_samples={len(rows)}, cut into {fitted} and {max(held - reach, 0)}; give more rows, or take a shorter "
            f"window"
        )
    return rows.part(0, fitted), rows.part(fitted + reach, len(rows))
