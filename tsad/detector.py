"""What was learned: everything between a row and its flag, in one value that saves as JSON and safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from tsad.data.scale import Scaler
from tsad.errors import DataError, DetectorError, SpecError
from tsad.models import ModelSpec
from tsad.models.contract import Model
from tsad.provenance import LabelsUsed, Provenance
from tsad.scoring import Scores, ScoringSpec, estimates, feature_scale, misfits, rows_after, rows_before, scores
from tsad.series import Series
from tsad.spec import Spec, parse
from tsad.thresholds import FittedThreshold
from tsad.training.checkpoints import load_weights, save_weights

DESCRIPTION, WEIGHTS = "detector.json", "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Everything between a row and its score.

    Attributes:
        features: Names of the columns it was fitted on, in that order.
        scaler: Fitted on training rows.
        window_length: Rows in a window, L.
        model_spec: What `model` was built from.
        model: Fitted, in evaluation mode.
        scoring: How misfits become scores.
        scale: (F,) divisors of misfits, fitted on validation rows.
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
            divisors = feature_scale(scoring, misfits(model[1], scaler.apply(validation), window_length, scoring))
        return cls(validation.features, scaler, window_length, *model, scoring, divisors)

    @property
    def rows_before(self) -> int:
        """Rows that a recording must have before its first scored row."""
        return rows_before(self.scoring, self.window_length)

    @property
    def rows_after(self) -> int:
        """Rows that must follow a row before its score is known; 0 for a causal scorer."""
        return rows_after(self.scoring, self.model.steps)

    def score(self, series: Series, past: Series | None = None) -> Scores:
        """Returns one score per row; a row's score depends only on the `rows_before` rows before and `rows_after` after it.

        Args:
            series: Rows to score.
            past: Rows that came right before them, so that the first ones have a score too; get none themselves.

        Raises:
            DataError: if the features are not those of the fit, or no recording has enough rows for one score.
        """
        if past is not None:
            found = self.score(past.part(max(0, len(past) - self.rows_before), len(past)).then(series))
            return Scores(found.values[-len(series) :], found.by_feature[-len(series) :])
        if series.features != self.features:
            raise DataError(f"features must be {list(self.features)}, in this order, but got {list(series.features)}")
        needed = self.rows_before + self.rows_after + 1
        longest = max(after - first for first, after in series.recordings())
        if longest < needed:
            raise DataError(
                f"a score needs at least {needed} consecutive rows (window of {self.window_length}, then smoothing), but got "
                f"{longest}; send more rows"
            )
        misfit = misfits(self.model, self.scaler.apply(series), self.window_length, self.scoring)
        return scores(self.scoring, series, misfit, self.scale)

    def estimates(self, series: Series) -> NDArray[np.float64] | None:
        """Returns the (T, F) estimate of each row, in the units of the series, from the last step of the window that ends there.

        NaN where no window ends; None of a model that has verdicts and no estimates. Where the scaler clips, it is the
        estimate of the clipped row.

        Raises:
            ValueError: if no recording is long enough for one window.
        """
        scaled = estimates(self.model, self.scaler.apply(series), self.window_length)
        return None if scaled is None else scaled * self.scaler.scale + self.scaler.center


class _Description(Spec):
    """What stands in `detector.json`."""

    format: Literal["tsad-detector-1"]
    features: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    clip: float | None
    window_length: int = Field(ge=1)
    model: ModelSpec
    scoring: ScoringSpec
    misfit_scale: tuple[float, ...]
    threshold: FittedThreshold
    training_labels: LabelsUsed
    selection_labels: LabelsUsed


@dataclass(frozen=True, eq=False)
class Detector:
    """A scorer and what flags its scores.

    Attributes:
        scorer: From rows to scores.
        threshold: From scores to flags.
        training_labels: Whose labels had a hand in the scorer's weights.
        selection_labels: Whose labels chose it among other candidates.
    """

    scorer: Scorer
    threshold: FittedThreshold
    training_labels: LabelsUsed = "nothing"
    selection_labels: LabelsUsed = "nothing"

    @property
    def provenance(self) -> Provenance:
        """Whose labels had a hand in it, part by part; it is saved with the detector."""
        return Provenance(self.training_labels, self.threshold.labels_used, self.selection_labels)

    def score(self, series: Series, past: Series | None = None) -> Scores:
        """Returns one score per row, as `Scorer.score`."""
        return self.scorer.score(series, past)

    def flag(self, scores: Scores) -> NDArray[np.bool_]:
        """Returns (T,) True where a row is flagged; never where it has no score.

        A threshold that follows the scores starts each call from its saved state; a stream carries `threshold.after`.
        """
        return self.threshold.flags(scores.values)

    def save(self, folder: Path) -> None:
        """Writes `detector.json` and `weights.safetensors` into `folder`, made if absent."""
        scorer = self.scorer
        description = _Description(
            format="tsad-detector-1",
            features=scorer.features,
            center=tuple(scorer.scaler.center.tolist()),
            scale=tuple(scorer.scaler.scale.tolist()),
            clip=scorer.scaler.clip,
            window_length=scorer.window_length,
            model=scorer.model_spec,
            scoring=scorer.scoring,
            misfit_scale=tuple(scorer.scale.tolist()),
            threshold=self.threshold,
            training_labels=self.training_labels,
            selection_labels=self.selection_labels,
        )
        save_weights(scorer.model.state_dict(), folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(description.model_dump(mode="json"), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Detector":
        """Returns the detector that `save` wrote, with equal scores; raises `DetectorError` if it is damaged or foreign."""
        try:
            description = parse(_Description, _read_json(folder / DESCRIPTION), str(folder / DESCRIPTION))
        except SpecError as error:
            raise DetectorError(str(error)) from None
        counts = {
            len(column)
            for column in (description.features, description.center, description.scale, description.misfit_scale)
        }
        if len(counts) != 1:
            raise DetectorError(
                f"{folder / DESCRIPTION}: features, center, scale and misfit_scale must be equally many"
            )
        try:
            model = description.model.build(len(description.features), description.window_length)
        except ValueError as error:
            raise DetectorError(
                f"{folder / DESCRIPTION}: model, window and features must fit each other, but {error}"
            ) from None
        load_weights(model, folder / WEIGHTS)
        scorer = Scorer(
            features=description.features,
            scaler=Scaler(np.array(description.center), np.array(description.scale), description.clip),
            window_length=description.window_length,
            model_spec=description.model,
            model=model.to(torch.device(device)).eval(),
            scoring=description.scoring,
            scale=np.array(description.misfit_scale),
        )
        return cls(scorer, description.threshold, description.training_labels, description.selection_labels)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DetectorError(
            f"{path}: a saved detector needs this file, but it cannot be read ({error.strerror})"
        ) from None
    except ValueError as error:
        raise DetectorError(f"{path}: must be JSON, but {error}; save the detector again") from None
    if not isinstance(values, dict):
        raise DetectorError(f"{path}: must hold a mapping, but holds {type(values).__name__}")
    return values
