"""A detector: everything between a row and its flag, in one value that is saved as JSON and safetensors."""

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsad.data.io.values import to_values
from tsad.data.precision import named
from tsad.detector.ensemble import AnyScorer, Ensemble, EnsembleDescription
from tsad.detector.score_table import score_table
from tsad.detector.scorer import WEIGHTS, Scorer, ScorerDescription
from tsad.detector.scoring import Scores
from tsad.errors import DetectorError, SpecError
from tsad.provenance import LabelsUsed, Provenance
from tsad.series import Series
from tsad.spec import Spec, parse
from tsad.thresholds import FittedThreshold

_logger = logging.getLogger(__name__)

__all__ = ["DESCRIPTION", "WEIGHTS", "Detector", "Scorer"]

DESCRIPTION = "detector.json"
_LARGEST = 50_000_000
"""Largest size of `detector.json` in bytes."""
SINGLE, SEVERAL = "tsad-detector-1", "tsad-ensemble-1"
"""Values of `format`: one scorer, or an ensemble of them."""


class _Flagging(Spec):
    threshold: FittedThreshold
    training_labels: LabelsUsed
    selection_labels: LabelsUsed


class _Single(_Flagging, ScorerDescription):
    """Content of `detector.json` of one scorer."""

    format: Literal["tsad-detector-1"]


class _Several(_Flagging, EnsembleDescription):
    """Content of `detector.json` of an ensemble."""

    format: Literal["tsad-ensemble-1"]


@dataclass(frozen=True, eq=False)
class Detector:
    """A fitted anomaly detector: a scorer and a threshold for its scores.

    Get one from `tsad.train`, `tsad.search` or `tsad.load_detector`. It is immutable, and it is saved without pickle.

    Attributes:
        scorer: Scorer that gives each row a score, or an ensemble of scorers.
        threshold: Fitted threshold that turns scores into flags.
        training_labels: Rows whose labels were used to fit the weights of the scorer.
        selection_labels: Rows whose labels were used to select the detector among candidates.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from tsad.config import DetectorSpec
        >>> from tsad.fitting import fit_detector
        >>> from tsad.series import Series
        >>> from tsad.spec import parse
        >>> values = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
        >>> rows = Series(values, ("cpu", "memory"))
        >>> spec = parse(DetectorSpec, {"model": {"kind": "l2"}, "window": {"length": 1}}, "example")
        >>> detector = fit_detector(spec, rows.part(0, 300), rows.part(300, 400))
        >>> detector.score(pd.DataFrame({"cpu": [0.0, 9.0], "memory": [0.0, 9.0]}))["flag"].tolist()
        [False, True]
    """

    scorer: AnyScorer
    threshold: FittedThreshold
    training_labels: LabelsUsed = "nothing"
    selection_labels: LabelsUsed = "nothing"

    @property
    def provenance(self) -> Provenance:
        """Rows whose labels were used for the weights, the threshold and the selection; saved with the detector."""
        return Provenance(self.training_labels, self.threshold.labels_used, self.selection_labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is saved: two detectors that share it give the same scores and flags."""
        digest = hashlib.sha256(json.dumps(self._described(), sort_keys=True).encode())
        for name, tensor in sorted(self.scorer.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @overload
    def score(self, rows: Series, past: Series | None = None) -> Scores: ...
    @overload
    def score(self, rows: pd.DataFrame) -> pd.DataFrame: ...

    def score(self, rows: Series | pd.DataFrame, past: Series | None = None) -> Scores | pd.DataFrame:
        """Returns one score per row; of a DataFrame, a DataFrame with the columns `score` and `flag` and the same index.

        The score of a row depends on the `lookback` rows before and the `lookahead` rows after it, and on nothing else.

        Args:
            rows: Consecutive rows, the oldest first: a series, or a DataFrame that has the columns of the features.
            past: Rows of a series that came right before, so that its first rows have scores too.

        Raises:
            DataError: if a feature is missing, a cell is no finite number, or the rows are too few for one score.
        """
        if isinstance(rows, pd.DataFrame):
            return self.score_frame(rows)
        return self.scorer.score(rows, past)

    def score_frame(self, frame: pd.DataFrame, *, top: int = 0) -> pd.DataFrame:
        """Returns `score` (NaN where there is none), `flag`, and the features that explain each score, for each row.

        Args:
            frame: Consecutive rows, the oldest first; columns that are no features are ignored.
            top: Number of features that are named beside each score, in `feature_1`, `share_1`, ...

        Raises:
            DataError: if a feature is missing, a cell is no finite number, the rows are too few, or `top` is negative.
        """
        features = self.scorer.features
        scores = self.scorer.score(Series(to_values(frame, features, "DataFrame"), features))
        table = score_table(scores.values, self.flag(scores), scores.by_feature, features, top)
        return table.set_axis(frame.index, axis=0)

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
        if (blind := scorer.scaler.blind).any():
            _logger.warning(
                "%s: the detector was trained on float32 values, in which %s hardly vary, so that it sees large changes of "
                "them only; train it again",
                source,
                named(scorer.features, blind),
            )
        return cls(scorer, saved.threshold, saved.training_labels, saved.selection_labels)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise DetectorError(
                f"{path}: must have at most {_LARGEST} bytes, but has {path.stat().st_size}; save it again"
            )
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise DetectorError(
            f"{path}: must not nest lists and mappings as deeply as it does; save the detector again"
        ) from None
    except OSError as error:
        raise DetectorError(
            f"{path}: a saved detector needs this file, but it cannot be read ({error.strerror})"
        ) from None
    except ValueError as error:
        raise DetectorError(f"{path}: must be JSON, but {error}; save the detector again") from None
    if not isinstance(values, dict):
        raise DetectorError(f"{path}: must hold a mapping, but holds {type(values).__name__}")
    return values
