"""The names of all tags that tsad writes to MLflow runs, logged models and registered versions."""

from typing import Final

from tsad.provenance import Provenance


class Tag:
    """Names of tags. Use these constants in place of the texts, so that each name is written once.

    Values of tags are texts: numbers are written in decimal, lists are separated by blanks, and `true` marks what holds.
    """

    KIND: Final = "tsad.kind"
    """Kind of a run: `train`, `train-each`, `search`, `evaluate`, `promote` or `recalibration`."""
    FAMILY: Final = "tsad.family"
    """Kind of the model that a run trained, such as `lstm_ae`."""
    MODEL: Final = "tsad.model"
    """URI or folder of the detector that a run recalibrated or evaluated."""
    ERROR: Final = "tsad.error"
    """Type and message of the error that ended a run."""

    ENTITY: Final = "tsad.entity"
    """Name of the entity, such as a machine, whose detector a child run of a fleet trained."""
    FLEET_FINGERPRINT: Final = "tsad.fleet_fingerprint"
    """Hash of all that decides which detectors a fleet has: experiment, files, options."""
    HEARTBEAT: Final = "tsad.heartbeat"
    """Time of the last sign of life of the command that leads a run, in ISO 8601 and UTC."""
    SESSION: Final = "tsad.session"
    """Id of the last session of a search; the machine that it runs on has it in the folder of the search."""

    RESUMED: Final = "tsad.resumed"
    """Id of the run that the command of this run resumed."""
    RESUMED_AFTER_EPOCH: Final = "tsad.resumed_after_epoch"
    """Last epoch that had been trained before a training was interrupted."""
    RESUMED_TRIALS: Final = "tsad.resumed.trials"
    """Limit of trials in the last session of a resumed search."""
    RESUMED_SECONDS: Final = "tsad.resumed.seconds"
    """Limit of seconds in the last session of a resumed search."""
    RESUMED_PARALLEL: Final = "tsad.resumed.parallel"
    """Number of parallel trials in the last session of a resumed search."""

    ALGORITHM: Final = "tsad.algorithm"
    """Kind of the search algorithm of a search."""
    SEARCH_FINGERPRINT: Final = "tsad.search_fingerprint"
    """Hash of all that decides which candidates a search tries, and in which order."""
    RESULT_FINGERPRINT: Final = "tsad.result_fingerprint"
    """Hash of all that decides the result of a trial except its experiment: data, objective, code, population."""
    CONFIG_FINGERPRINT: Final = "tsad.config_fingerprint"
    """Hash of the resolved experiment of a trial."""

    TRIAL: Final = "tsad.trial"
    """Number of a trial in its search, from 0."""
    GENERATION: Final = "tsad.generation"
    """Number of the generation of a trial, from 0."""
    PARENTS: Final = "tsad.parents"
    """Numbers of the trials that a candidate descends from."""
    ANCHOR: Final = "tsad.anchor"
    """Name of the anchor that a trial is; absent from all others."""
    COLUMNS: Final = "tsad.columns"
    """Hash of the names of the features of a trial's data, by which later searches find siblings."""
    ROWS: Final = "tsad.rows"
    """Hash of the first training rows of a trial's data, by which a series is recognized."""
    STATE: Final = "tsad.state"
    """State of a trial at its end: `finished`, `stopped` or `failed`."""
    REASON: Final = "tsad.reason"
    """Reason why a trial was stopped or failed, empty for a finished one; `interrupted` for the run of an interrupted command."""
    EPOCHS: Final = "tsad.epochs"
    """Number of epochs that a trial trained; 0 for a closed-form model."""
    REUSED: Final = "tsad.reused"
    """Id of the run of an earlier search that a trial was taken from."""
    NODE: Final = "tsad.node"
    """Id of the Ray node that a trial ran on."""
    SCHEDULE: Final = "tsad.schedule"
    """The segments of the schedule of a trial that was trained in a population, as JSON."""

    CHAMPION_TRIALS: Final = "tsad.champion_trials"
    """Names of the trials that the winner of a search consists of: one, or the members of an ensemble, best first."""
    BEATS_BASELINES: Final = "tsad.beats_baselines"
    """Whether a winner beats the best baseline: `yes`, `perhaps`, `no` or `unknown`."""

    RUN: Final = "tsad.run"
    """Id of the run whose detector a registered version is."""
    CANDIDATE: Final = "tsad.candidate"
    """Name and version, `NAME/VERSION`, of the candidate that a registered version is a copy of."""
    DIGEST: Final = "tsad.digest"
    """Digest of the detector that a logged model or a registered version is."""
    CHAMPIONS: Final = "tsad.champions"
    """Versions of a registered model that were champion, in order, the present one last."""
    UNDONE: Final = "tsad.undone"
    """Time at which a champion was replaced by its predecessor, in ISO 8601."""
    GATE: Final = "tsad.gate"
    """Decision about a version: `first`, `promoted`, `rejected` or `forced`."""
    GATE_CHAMPION_VERSION: Final = "tsad.gate_champion_version"
    """Version of the champion that a challenger was compared with."""
    GATE_METRIC: Final = "tsad.gate_metric"
    """Name of the metric that the gate compared."""
    GATE_ROWS: Final = "tsad.gate_rows"
    """Rows on which the gate compared, described for people."""
    GATE_CHAMPION: Final = "tsad.gate_champion"
    """Value of the champion in the comparison of the gate."""
    GATE_CHALLENGER: Final = "tsad.gate_challenger"
    """Value of the challenger in the comparison of the gate."""
    GATE_MARGIN: Final = "tsad.gate_margin"
    """Margin by which the challenger had to exceed the champion."""
    GATE_LABELS: Final = "tsad.gate_labels"
    """Rows whose labels the gate read: `nothing` or `test`."""

    LABELS_USED: Final = "tsad.labels_used."
    """Beginning of the names of the tags that say which labels were used for `training`, `threshold` and `selection`."""
    SUPERVISED: Final = "tsad.supervised"
    """Set to `true` if labels were used in training."""
    ORACLE: Final = "tsad.oracle"
    """Set to `true` if labels of the reported rows were used anywhere."""


def provenance_tags(provenance: Provenance) -> dict[str, str]:
    """Returns the tags that say which labels were used: `LABELS_USED` of each part, `SUPERVISED` and `ORACLE` where they hold.

    >>> provenance_tags(Provenance(threshold="test"))["tsad.oracle"]
    'true'
    """
    parts: dict[str, str] = {f"{Tag.LABELS_USED}{part}": used for part, used in provenance.parts().items()}
    marks = {Tag.SUPERVISED: provenance.supervised, Tag.ORACLE: provenance.oracle}
    return parts | {name: "true" for name, holds in marks.items() if holds}
