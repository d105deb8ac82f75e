"""`tsad recalibrate`: a detector's threshold fitted anew to the scores of a file."""

import hashlib
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from tsad.assessment.artifacts import DETECTOR
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import DESCRIPTION, Detector
from tsad.drift import Profile, recalibrated, threshold_spec
from tsad.errors import DetectorError
from tsad.settings import Settings
from tsad.spec import Spec
from tsad.thresholds import FittedThreshold
from tsad.tracking.runs import leading_run
from tsad.tracking.store import open_store
from tsad.tracking.tags import Tag, provenance_tags
from tsad.workflows.drift import judged_rows
from tsad.workflows.file_rows import find_folder

LOG = "recalibrations.jsonl"
"""Stands beside `detector.json`: one line per recalibration, the latest last."""


class ThresholdEffect(Spec):
    """A threshold, and what it does to the rows of a recalibration.

    Attributes:
        method: What fitted it, for people.
        threshold: Of the last of the rows.
        alarms: Share of the scored rows that it flags.
    """

    method: str
    threshold: float
    alarms: float


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


def recalibrate(model: str, path: Path, output: Path, changes: Mapping[str, Any], *, keep: bool) -> None:
    """Writes the detector with a new threshold into `output`, everything else of its folder beside it, and logs the change.

    Args:
        model: URI or folder of the detector.
        path: CSV or Parquet file of rows that are mostly normal; no label is read.
        output: Folder that holds no detector yet.
        changes: Values of the threshold by path, such as `threshold.percentile`.
        keep: Take the scores in beside those that the threshold was fitted to, instead of forgetting them.
    """
    if (output / DESCRIPTION).exists():
        raise DetectorError(f"{output}: holds a detector already; give a new folder, so that the one before stays")
    folder = find_folder(model)
    old = Detector.load(folder)
    scores = np.concatenate([scored.scores for _, scored in judged_rows(old, path, ReadOptions.load(folder))])
    new = recalibrated(old, scores, None if keep else threshold_spec(old.threshold, changes), keep=keep)
    line = Recalibration(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model,
        file=str(path),
        digest=_digest(path),
        rows=int((~np.isnan(scores)).sum()),
        labels_used=new.provenance.threshold,
        before=_threshold(old.threshold, scores),
        after=_threshold(new.threshold, scores),
    )
    _write(folder, output, new, line)
    for name, each in (("before", line.before), ("after", line.after)):
        click.echo(
            f"{name:<7} {each.method}: threshold {each.threshold:.6g}, {each.alarms:.2%} of {line.rows} scored rows flagged"
        )
    if not Path(model).is_dir():
        click.echo(f"run:    runs:/{_log(line, new, output)}/{DETECTOR}")
    click.echo(f"folder: {output}  (tsad score {output} FILE)")


def _threshold(threshold: FittedThreshold, scores: NDArray[np.float64]) -> ThresholdEffect:
    thresholds = threshold.per_row(scores)
    alarms = (scores > thresholds)[~np.isnan(scores)]
    return ThresholdEffect(method=threshold.method, threshold=float(thresholds[-1]), alarms=float(alarms.mean()))


def _write(folder: Path, output: Path, detector: Detector, line: Recalibration) -> None:
    """Copies a detector's folder, puts the new threshold in, and says so in its log and in the alarms that drift expects."""
    shutil.copytree(folder, output, dirs_exist_ok=True)
    detector.save(output)
    profile = Profile.load(output)
    if profile is not None:
        profile.model_copy(update={"alarms": line.after.alarms}).save(output)
    with (output / LOG).open("a", encoding="utf-8") as log:
        log.write(line.model_dump_json() + "\n")


def _log(line: Recalibration, detector: Detector, output: Path) -> str:
    """Returns the run that a recalibration of a registered model is logged as, the new detector with it."""
    store = open_store(Settings().tracking_uri)
    tags = {Tag.KIND: "recalibration", Tag.MODEL: line.model, **provenance_tags(detector.provenance)}
    with leading_run(store, f"recalibration of {line.model}", tags) as writer:
        writer.parameters(line.model_dump(mode="json", exclude={"before", "after"}))
        writer.parameters({side: {"method": getattr(line, side).method} for side in ("before", "after")})
        for side in ("before", "after"):
            each: ThresholdEffect = getattr(line, side)
            writer.metrics(
                {f"recalibration/{side}_threshold": each.threshold, f"recalibration/{side}_alarms": each.alarms}
            )
        writer.files(output, DETECTOR)
    return writer.run_id


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
