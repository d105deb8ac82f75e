"""`POST /train_predict`: a series in, the forecasts of a forecaster that a small search chose, and what it did not expect."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.arrays import Floats, Values
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.data.precision import narrowed
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.data.split import Parts, SplitSpec, split
from tsad.detector.detector import Detector
from tsad.errors import DataError
from tsad.evaluation.pointwise import precision_recall_f1
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.series import Series
from tsad.serving.jobs import JobSpec, ProgressReader
from tsad.serving.responses import numbers
from tsad.serving.search_jobs import ROWS, run_of
from tsad.spec import Spec, parse, put, read_yaml

LEAST_ROWS, MOST_ROWS = 12, 20_000
"""Least and largest number of rows; with fewer rows than 12, no window fits into each part of the series."""
SHORT = 100
"""Number of rows below which a series is short: it gets shorter windows, more validation rows, and fewer candidates."""
_SHORT_TRIALS = 4
_WINDOWS, _BATCHES, _EPOCHS = 800, 100, 30
"""Windows of an epoch at most, batches of a trial at about, epochs at most: so that a search takes about a minute."""
MOST_BYTES = 50 * MOST_ROWS
_LARGEST = float(np.finfo(np.float32).max)


class TrainPredictRequest(Spec):
    """The body: a series, or none and `use_synthetic`.

    Attributes:
        y_true: 12 to 20,000 finite numbers, the oldest first.
        use_synthetic: Take a generated series with labeled anomalies instead.
        sigma: Standard deviations above the mean at which a residual becomes an anomaly.
    """

    y_true: Annotated[tuple[float, ...], Field(fail_fast=True)] | None = Field(
        None, min_length=LEAST_ROWS, max_length=MOST_ROWS
    )
    use_synthetic: bool = False
    sigma: float = Field(3.0, gt=0)

    @model_validator(mode="after")
    def _one_series(self) -> Self:
        if (self.y_true is not None) == self.use_synthetic:
            raise ValueError("give y_true, or use_synthetic: true, and not both")
        return self


@dataclass(frozen=True, eq=False)
class _Case:
    """A series and what is asked of it.

    Attributes:
        values: (T,).
        labels: (T,) True where it is anomalous; None where nobody knows.
        test_ratio: Share of the rows, the last ones, that the search does not see.
        sigma: Standard deviations above the mean residual.
    """

    values: Values
    labels: NDArray[np.bool_] | None
    test_ratio: float
    sigma: float

    @property
    def length(self) -> int:
        """Number of rows in a window; few rows have room for short windows only."""
        rows = len(self.values)
        return 16 if rows >= 400 else 8 if rows >= SHORT else 4 if rows >= 40 else 2

    @property
    def validation(self) -> float:
        """Fraction of the training rows that are validation rows."""
        return 0.25 if len(self.values) >= SHORT else 0.5

    def parts(self) -> Parts:
        """Returns the rows that a candidate is fitted and judged on, cut as the search will cut them."""
        series = Series(self.values[:, None], ("value",))
        edge = len(series) - round(len(series) * self.test_ratio)
        data = DataSet("rows", ROWS, series.part(0, edge), series.part(edge, len(series)))
        return split(data, SplitSpec(gap=self.length, validation=self.validation), self.length)


def task_of(prediction_request: TrainPredictRequest, read_progress: ProgressReader) -> JobSpec:
    """Returns the job of a request.

    Args:
        prediction_request: Parsed body of the request.
        read_progress: Function that reads the trials of a search.

    Raises:
        DataError: if a number of the series is beyond 3.4e38, or the rows to learn from are all equal.
    """
    case = _case(prediction_request)
    space = read_yaml(Path(__file__).with_suffix(".yaml"))
    fitted = case.parts().fit
    if not np.ptp(fitted.values):
        raise DataError(f"y_true must vary, but its first {len(fitted)} values are all {fitted.values[0, 0]:g}")
    stride = ceil(len(fitted) / _WINDOWS)
    batches = ceil(len(fitted) / stride / space["training"]["batch_size"])
    changes = {
        "data": {"kind": "csv", "path": ROWS, "test_ratio": case.test_ratio},
        "window": {"length": case.length, "stride": stride},
        "split": {"gap": case.length, "validation": case.validation},
        "training.epochs": min(_EPOCHS, ceil(_BATCHES / batches)),
        "threshold.factor": case.sigma,
    }
    if len(case.values) < SHORT:
        changes["search.trials"] = _SHORT_TRIALS
    return JobSpec("train_predict", put(space, changes), partial(_write, case), partial(_conclude, case, read_progress))


def _case(prediction_request: TrainPredictRequest) -> _Case:
    if prediction_request.y_true is not None:
        wild = [index for index, value in enumerate(prediction_request.y_true) if abs(value) > _LARGEST]
        if wild:
            raise DataError(
                f"y_true must hold numbers up to {_LARGEST:.2g}, but number {wild[0]} is {prediction_request.y_true[wild[0]]}"
            )
        test_ratio = 0.25 if len(prediction_request.y_true) >= SHORT else 0.2
        values = _narrowed(np.array(prediction_request.y_true, np.float64), test_ratio)
        return _Case(values, None, test_ratio, prediction_request.sigma)
    generated = SyntheticSpec(kind="synthetic", rows=500, features=2, events=10).load(Path())
    labels = np.zeros(2 * len(generated.test), bool)
    for cause in generated.root_causes:
        if generated.test.features[0] in cause.features:
            labels[len(generated.train) + cause.start : len(generated.train) + cause.stop] = True
    values = np.concatenate([generated.train.values[:, 0], generated.test.values[:, 0]])
    return _Case(values, labels, 0.5, prediction_request.sigma)


def _narrowed(values: Floats, test_ratio: float) -> Values:
    """Returns the values in the precision that they will be read from the file in."""
    series = Series(values[:, None], ("value",))
    edge = len(series) - round(len(series) * test_ratio)
    parts = narrowed(series.part(0, edge), series.part(edge, len(series)))
    return np.concatenate([part.values[:, 0] for part in parts])


def _write(case: _Case, folder: Path) -> None:
    digits = "%.9g" if case.values.dtype == np.float32 else "%.17g"
    np.savetxt(folder / ROWS, case.values, fmt=digits, header="value", comments="")


def _conclude(case: _Case, read_progress: ProgressReader, folder: Path) -> Mapping[str, Any]:
    """Returns the answer, from the files of the search."""
    run = run_of(folder)
    experiment = parse(ExperimentConfig, read_yaml(run / "champion" / "experiment.yaml"), "champion")
    detector = Detector.load(run / "champion" / "detector")
    predictions = detector.scorer.predictions(Series(case.values[:, None], ("value",)))
    if predictions is None:
        raise DataError(f"the search must choose a forecaster, but chose {detector.scorer.kind}")
    predicted = predictions[:, 0]
    ended = [candidate for candidate, trial in read_progress(folder) if trial is not None]
    return {
        **_answer(case, predicted),
        "nas_config": _configuration(experiment),
        "report_path": f"runs:/{run.name}/nas_report.txt",
        "search_summary": {
            "generations": 1 + max(candidate.generation for candidate in ended),
            "configs_evaluated": len(ended),
        },
    }


def _answer(case: _Case, predicted: NDArray[np.float64]) -> dict[str, Any]:
    """Returns forecasts, anomalies and errors; the threshold is the mean of all absolute residuals + sigma deviations."""
    residuals = np.abs(case.values - predicted)
    has_forecast = residuals[~np.isnan(residuals)]
    threshold = float(has_forecast.mean() + case.sigma * has_forecast.std())
    flags = residuals > threshold
    train = len(case.values) - round(len(case.values) * case.test_ratio)
    validation = residuals[train - len(case.parts().validation) : train]
    return {
        "y_pred": numbers(predicted),
        "anomalies": np.flatnonzero(flags).tolist(),
        "count": int(flags.sum()),
        "threshold": threshold,
        "metrics": {
            "mae": float(has_forecast.mean()),
            "rmse": _root_mean_square(has_forecast),
            "val_rmse": _root_mean_square(validation),
        },
        "anomaly_eval": None if case.labels is None else _evaluated(flags, case.labels, residuals),
    }


def _evaluated(flags: NDArray[np.bool_], labels: NDArray[np.bool_], residuals: NDArray[np.float64]) -> dict[str, float]:
    """Returns how flags agree with labels in the rows that have a forecast."""
    has_forecast = ~np.isnan(residuals)
    return dict(
        zip(
            ("precision", "recall", "f1_score"),
            precision_recall_f1(flags[has_forecast], labels[has_forecast]),
            strict=True,
        )
    )


def _configuration(experiment: ExperimentConfig) -> dict[str, Any]:
    model = experiment.model
    if not isinstance(model, RecurrentForecasterSpec):
        raise DataError(f"the search must choose a recurrent forecaster, but chose {experiment.family}")
    return {
        "cell_type": model.cell,
        "layers": model.layers,
        "hidden": model.hidden,
        "dropout": model.dropout,
        "learning_rate": experiment.training.learning_rate,
    }


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(values).mean()))
