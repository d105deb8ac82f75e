"""What was learned: everything between a row and its flag, in one value that saves as JSON and safetensors."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tsad.detector.ensemble import AnyScorer, Ensemble, EnsembleDescription
from tsad.detector.scorer import WEIGHTS, Scorer, ScorerDescription
from tsad.detector.scoring import Scores
from tsad.errors import DetectorError, SpecError
from tsad.provenance import LabelsUsed, Provenance
from tsad.series import Series
from tsad.spec import Spec, parse
from tsad.thresholds import FittedThreshold

__all__ = ["DESCRIPTION", "WEIGHTS", "Detector", "Scorer"]

DESCRIPTION = "detector.json"
SINGLE, SEVERAL = "tsad-detector-1", "tsad-ensemble-1"
"""What `format` says: one scorer, or an ensemble of them."""


class _Flagging(Spec):
    threshold: FittedThreshold
    training_labels: LabelsUsed
    selection_labels: LabelsUsed


class _Single(_Flagging, ScorerDescription):
    """What stands in `detector.json` of one scorer."""

    format: Literal["tsad-detector-1"]


class _Several(_Flagging, EnsembleDescription):
    """What stands in `detector.json` of an ensemble."""

    format: Literal["tsad-ensemble-1"]


@dataclass(frozen=True, eq=False)
class Detector:
    """A scorer and what flags its scores.

    Attributes:
        scorer: From rows to scores; one, or an ensemble.
        threshold: From scores to flags.
        training_labels: Whose labels had a hand in the scorer's weights.
        selection_labels: Whose labels chose it among other candidates.
    """

    scorer: AnyScorer
    threshold: FittedThreshold
    training_labels: LabelsUsed = "nothing"
    selection_labels: LabelsUsed = "nothing"

    @property
    def provenance(self) -> Provenance:
        """Whose labels had a hand in it, part by part; it is saved with the detector."""
        return Provenance(self.training_labels, self.threshold.labels_used, self.selection_labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is saved: two detectors that share it give the same scores and flags."""
        digest = hashlib.sha256(json.dumps(self._described(), sort_keys=True).encode())
        for name, tensor in sorted(self.scorer.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def score(self, series: Series, past: Series | None = None) -> Scores:
        """Returns one score per row, as `Scorer.score`."""
        return self.scorer.score(series, past)

    def flag(self, scores: Scores) -> NDArray[np.bool_]:
        """Returns (T,) True where a row is flagged; never where it has no score.

        A threshold that follows the scores starts each call from its saved state; a stream carries `threshold.after`.
        """
        return self.threshold.flags(scores.values)

    def save(self, folder: Path) -> None:
        """Writes `detector.json` and the tensors into `folder`, made if absent.

        They are `weights.safetensors` of one scorer; `weights.safetensors` and `reference.safetensors` in `member-0/`,
        `member-1/`, ... of an ensemble.
        """
        self.scorer.save(folder)
        (folder / DESCRIPTION).write_text(json.dumps(self._described(), indent=1), encoding="utf-8")

    def _described(self) -> dict[str, Any]:
        """Returns all but the tensors."""
        flagging = _Flagging(
            threshold=self.threshold, training_labels=self.training_labels, selection_labels=self.selection_labels
        )
        return {
            "format": SEVERAL if isinstance(self.scorer, Ensemble) else SINGLE,
            **self.scorer.describe().model_dump(mode="json"),
            **flagging.model_dump(mode="json"),
        }

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Detector":
        """Returns the detector that `save` wrote, with equal scores; raises `DetectorError` if it is damaged or foreign."""
        source = str(folder / DESCRIPTION)
        values = _read_json(folder / DESCRIPTION)
        scorer: AnyScorer
        saved: _Single | _Several
        try:
            if values.get("format") == SEVERAL:
                saved = parse(_Several, values, source)
                scorer = Ensemble.restore(saved, folder, source, device)
            else:
                saved = parse(_Single, values, source)
                scorer = Scorer.restore(saved, folder, source, device)
        except SpecError as error:
            raise DetectorError(str(error)) from None
        return cls(scorer, saved.threshold, saved.training_labels, saved.selection_labels)


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
