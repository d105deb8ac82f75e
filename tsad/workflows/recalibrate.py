"""Recalibration: the threshold of a detector fitted to the scores of new rows."""

import hashlib
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsad.assessment.artifacts import DETECTOR
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.drift import Profile, recalibrated, threshold_spec
from tsad.errors import DetectorError
from tsad.spec import Spec
from tsad.thresholds import FittedThreshold
from tsad.tracking.runs import leading_run
from tsad.tracking.tags import Tag, provenance_tags
from tsad.workflows.context import open_context
from tsad.workflows.drift import scored_rows
from tsad.workflows.events import OnEvent, ignore
from tsad.workflows.inputs import NO_OVERRIDES

LOG = "recalibrations.jsonl"
"""Stands beside `detector.json`: one line per recalibration, the latest last."""


class ThresholdEffect(Spec):
    """A threshold, and what it does to the rows of a recalibration.

    Attributes:
        method: What fitted it, for people.
        threshold: Threshold of the last row.
        alarms: Share of the scored rows that it flags.
    """

    method: str
    threshold: float
    alert_rate: float


class Recalibration(Spec):
    """One line of `recalibrations.jsonl`.

    Attributes:
        at: When, ISO 8601 in UTC.
        model: As it was named.
        file: Whose rows gave the scores.
        digest: SHA-256 of the file.
        rows: With a score.
        labels_used: By the new threshold.
        before: The threshold that it had.
        after: The threshold that it got.
    """

    at: str
    model: str
    file: str
    digest: str
    rows: int
    labels_used: str
    before: ThresholdEffect
    after: ThresholdEffect


@dataclass(frozen=True)
class RecalibrationResult:
    """Result of a recalibration. `str()` is what the command line prints.

    Attributes:
        recalibration: Thresholds before and after, and the rows that they were measured on.
        output: Folder of the recalibrated detector.
        run_id: MLflow run that records it; None for a detector that is a folder.
    """

    recalibration: Recalibration
    output: Path
    run_id: str | None

    def __str__(self) -> str:
        record = self.recalibration
        lines = [
            f"{name:<7} {effect.method}: threshold {effect.threshold:.6g}, {effect.alert_rate:.2%} of {record.rows} scored "
            f"rows flagged"
            for name, effect in (("before", record.before), ("after", record.after))
        ]
        if self.run_id is not None:
            lines.append(f"run:    runs:/{self.run_id}/{DETECTOR}")
        return "\n".join([*lines, f"folder: {self.output}  (tsad score {shlex.quote(str(self.output))} FILE)"])


def recalibrate(
    model: str | Path,
    data: str | Path,
    output: str | Path,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    keep: bool = False,
    on_event: OnEvent = ignore,
) -> RecalibrationResult:
    """Fits the threshold of a detector to the scores of new rows, and writes the detector into a new folder.

    Args:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/RUN_ID/detector`, or the folder of a saved detector.
        data: CSV or Parquet file of rows that are mostly normal; no label is read.
        output: Folder that holds no detector yet.
        overrides: Values of the threshold by path, such as `{"threshold.percentile": 99.5}`.
        keep: Add the scores to those that the threshold was fitted to, instead of replacing them.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, row and column of the first cell that is not as it should be.
        DetectorError: if there is no such model, or the output holds a detector already.
        SpecError: if an override is no value of the threshold.
    """
    path, target = Path(data), Path(output)
    if (target / DESCRIPTION).exists():
        raise DetectorError(
            f"{target}: holds a detector already; give a new folder, so that the earlier detector stays"
        )
    folder = open_context().detector_folder(model)
    old = Detector.load(folder)
    chunks = scored_rows(old, path, ReadOptions.load(folder), on_event)
    scores = np.concatenate([scored.scores for _, scored in chunks])
    new = recalibrated(old, scores, None if keep else threshold_spec(old.threshold, overrides), keep=keep)
    record = Recalibration(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=str(model),
        file=str(path),
        digest=_digest(path),
        rows=int((~np.isnan(scores)).sum()),
        labels_used=new.provenance.threshold,
        before=_threshold(old.threshold, scores),
        after=_threshold(new.threshold, scores),
    )
    _write(folder, target, new, record)
    return RecalibrationResult(record, target, None if Path(model).is_dir() else _log(record, new, target))


def _threshold(threshold: FittedThreshold, scores: NDArray[np.float64]) -> ThresholdEffect:
    thresholds = threshold.per_row(scores)
    alert_rate = (scores > thresholds)[~np.isnan(scores)]
    return ThresholdEffect(
        method=threshold.method, threshold=float(thresholds[-1]), alert_rate=float(alert_rate.mean())
    )


def _write(folder: Path, output: Path, detector: Detector, record: Recalibration) -> None:
    """Copies the folder of a detector with the new threshold, and adds it to its log and to the alert rate that drift expects."""
    shutil.copytree(folder, output, dirs_exist_ok=True)
    detector.save(output)
    profile = Profile.load(output)
    if profile is not None:
        profile.model_copy(update={"alert_rate": record.after.alert_rate}).save(output)
    with (output / LOG).open("a", encoding="utf-8") as log:
        log.write(record.model_dump_json() + "\n")


def _log(record: Recalibration, detector: Detector, output: Path) -> str:
    """Returns the run that a recalibration of a registered model is logged as, the new detector with it."""
    store = open_context().store
    tags = {Tag.KIND: "recalibration", Tag.MODEL: record.model, **provenance_tags(detector.provenance)}
    with leading_run(store, f"recalibration of {record.model}", tags) as writer:
        writer.parameters(record.model_dump(mode="json", exclude={"before", "after"}))
        writer.parameters({side: {"method": getattr(record, side).method} for side in ("before", "after")})
        for side in ("before", "after"):
            effect: ThresholdEffect = getattr(record, side)
            writer.metrics(
                {f"recalibration/{side}_threshold": effect.threshold, f"recalibration/{side}_alarms": effect.alert_rate}
            )
        writer.files(output, DETECTOR)
    return writer.run_id


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
