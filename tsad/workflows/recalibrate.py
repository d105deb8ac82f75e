"""Recalibration: the threshold of a detector fitted to the scores of new rows."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsad.assessment.file_names import DETECTOR
from tsad.data.io.containers.location import location
from tsad.data.io.containers.plain import plain_digest, reuse
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.drift import Profile, Recalibration, recalibrated, threshold_spec
from tsad.errors import DetectorError
from tsad.tracking.runs import leading_run
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag, provenance_tags
from tsad.workflows.context import open_context
from tsad.workflows.drift import scored_rows
from tsad.workflows.events import OnEvent, ignore
from tsad.workflows.inputs import NO_OVERRIDES


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
            f"{name:<7} {effect.method}: threshold {effect.value:.6g}, {effect.alert_rate or 0:.2%} of {record.rows} scored "
            f"rows flagged"
            for name, effect in (("before", record.before), ("after", record.after))
        ]
        if self.run_id is not None:
            lines.append(f"run:    runs:/{self.run_id}/{DETECTOR}")
        return "\n".join([*lines, f"folder: {self.output}  (tsad score {shlex.quote(str(self.output))} FILE)"])


@reuse()
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
        data: Path or address of a file of rows that are mostly normal; no label is read.
        output: Folder that holds no detector yet.
        overrides: Values of the threshold by path, such as `{"threshold.percentile": 99.5}`.
        keep: Add the scores to those that the threshold was fitted to, instead of replacing them.
        on_event: Callback for progress.

    Raises:
        DataError: naming file, row and column of the first cell that is not as it should be.
        DetectorError: if there is no such model, or the output holds a detector already.
        SpecError: if an override is no value of the threshold.
    """
    path, target = location(data), Path(output)
    if (target / DESCRIPTION).exists():
        raise DetectorError(
            f"{target}: holds a detector already; give a new folder, so that the earlier detector stays"
        )
    folder = open_context().detector_folder(model)
    old = Detector.load(folder)
    read_options = ReadOptions.load(folder)
    chunks = scored_rows(old, path, read_options, on_event)
    scores = np.concatenate([scored.scores for _, scored in chunks])
    new = recalibrated(old, scores, None if keep else threshold_spec(old.threshold, overrides), keep=keep)
    record = Recalibration.of(
        str(model), str(path), (old.threshold, new.threshold), scores, plain_digest(path, read_options)
    )
    _write(folder, target, new, record)
    if Path(model).is_dir():
        return RecalibrationResult(record, target, None)
    run_id = track_recalibration(open_context().store, record, provenance_tags(new.provenance), target)
    return RecalibrationResult(record, target, run_id)


def _write(folder: Path, output: Path, detector: Detector, record: Recalibration) -> None:
    """Copies the folder of a detector with the new threshold, and adds it to its log and to the alert rate that drift expects."""
    shutil.copytree(folder, output, dirs_exist_ok=True)
    detector.save(output)
    profile = Profile.load(output)
    if profile is not None and record.after.alert_rate is not None:
        profile.model_copy(update={"alert_rate": record.after.alert_rate}).save(output)
    record.write(output)


def track_recalibration(
    store: Store, record: Recalibration, tags: Mapping[str, str], detector: Path | None = None
) -> str:
    """Logs a recalibration as an MLflow run, and returns the run.

    Args:
        store: Tracking store.
        record: Record of the recalibration.
        tags: Further tags of the run.
        detector: Folder of the recalibrated detector, which becomes an artifact; None for no artifact.
    """
    all_tags = {Tag.KIND: "recalibration", Tag.MODEL: record.model, **tags}
    with leading_run(store, f"recalibration of {record.model}", all_tags) as writer:
        writer.parameters(record.model_dump(mode="json", exclude={"before", "after"}))
        writer.parameters({"before": {"method": record.before.method}, "after": {"method": record.after.method}})
        for side, effect in (("before", record.before), ("after", record.after)):
            writer.metrics({f"recalibration/{side}_threshold": effect.value})
            if effect.alert_rate is not None:
                writer.metrics({f"recalibration/{side}_alert_rate": effect.alert_rate})
        if detector is not None:
            writer.files(detector, DETECTOR)
    return writer.run_id
