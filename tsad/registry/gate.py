"""The promotion gate: whether a new version of a registered model becomes champion or stays challenger."""

from dataclasses import dataclass, field
from pathlib import Path

from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec
from tsad.detector.detector import Detector
from tsad.errors import TsadError
from tsad.registry.aliases import champion_to_beat, promote, write_decision
from tsad.registry.load import load_detector
from tsad.selection.comparison import Comparison, GateSpec, compare
from tsad.selection.objective import LabelFreeSpec
from tsad.tracking.runs import RunWriter
from tsad.tracking.tags import Tag


@dataclass(frozen=True)
class GateInputs:
    """Rows and rules by which a version is compared with the champion.

    Attributes:
        data: Data that both are evaluated on.
        split: Split of the data; the comparison uses its reported test rows.
        gate: Metric and margin of the comparison.
        injection: Objective that defines the injected anomalies of a label-free comparison.
    """

    data: DataSet
    split: SplitSpec
    gate: GateSpec
    injection: LabelFreeSpec


@dataclass(frozen=True)
class Decision:
    """Decision of the gate about a version.

    Attributes:
        outcome: `first`, `promoted`, `rejected` (the version stays challenger) or `forced`.
        text: Reason of the decision in one or two sentences.
        metrics: Metrics for the run, `gate/champion`, `gate/challenger` and `gate/margin`; empty without a comparison.
        tags: Tags for the version, with the figures of the comparison.
    """

    def __str__(self) -> str:
        """Returns the reason of the decision."""
        return self.text

    outcome: str
    text: str
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def decide(name: str, version: str, challenger: Detector, inputs: GateInputs) -> Decision:
    """Returns the decision about a version of a registered model; changes nothing.

    Args:
        name: Name of the registered model.
        version: Version that challenges the champion.
        challenger: Detector of that version.
        inputs: Rows and rules of the comparison.

    Raises:
        TsadError: if the champion cannot be loaded, or the two cannot be compared on these rows.
    """
    present = champion_to_beat(name, version)
    if present is None:
        return first_decision(name, version)
    try:
        champion = load_detector(f"models:/{name}/{present}")
        comparison = compare(challenger, champion, (inputs.data, inputs.split), inputs.gate, inputs.injection)
    except TsadError as error:
        raise not_comparable(name, version, present, error) from None
    if champion_to_beat(name, version) != present:  # another version was promoted in the meantime
        return decide(name, version, challenger, inputs)
    return decision_of(comparison, version, present)


def first_decision(name: str, version: str) -> Decision:
    """Returns the decision about a version that has no champion to beat."""
    return Decision("first", f"models:/{name} had no champion; version {version} is the first.")


def not_comparable(name: str, version: str, present: str, error: TsadError) -> TsadError:
    """Returns the error that a version cannot be compared with the champion, with the way out."""
    return TsadError(
        f"version {version} cannot be compared with champion version {present} on these rows ({error}); without a "
        f"comparison: tsad promote models:/{name}/{version} --force"
    )


def decision_of(comparison: Comparison, version: str, present: str) -> Decision:
    """Returns the decision that follows from the comparison of a version with the champion, version `present`."""
    metrics = {
        "gate/champion": comparison.champion,
        "gate/challenger": comparison.challenger,
        "gate/margin": comparison.margin,
    }
    return Decision(
        "promoted" if comparison.passed else "rejected",
        _text(comparison, version, present),
        metrics,
        _tags(comparison, present),
    )


def apply(name: str, version: str, decision: Decision, writer: RunWriter, folder: Path) -> None:
    """Carries out a decision, and logs it to the run and to the version.

    The run comes first, the alias next, the version's tag `tsad.gate` last: after an interruption in between,
    the gate decides once more against the same champion.
    """
    (folder / "gate.txt").write_text(f"{decision.text}\n", encoding="utf-8")
    writer.file(folder / "gate.txt")
    writer.final_metrics(decision.metrics)
    writer.tags({Tag.GATE: decision.outcome, **decision.tags})
    if decision.outcome != "rejected":
        promote(name, version)
    write_decision(name, version, decision.outcome, decision.tags, decision.text)


def _text(comparison: Comparison, version: str, present: str) -> str:
    result = (
        f"version {version} replaces version {present}" if comparison.passed else f"version {present} stays champion"
    )
    labels = "" if comparison.labels_used == "nothing" else " Labels of these rows chose between the two."
    return f"{comparison.sentence} So {result}.{labels}"


def _tags(comparison: Comparison, present: str) -> dict[str, str]:
    return {
        Tag.GATE_CHAMPION_VERSION: present,
        Tag.GATE_METRIC: comparison.metric,
        Tag.GATE_ROWS: comparison.rows,
        Tag.GATE_CHAMPION: f"{comparison.champion:.6g}",
        Tag.GATE_CHALLENGER: f"{comparison.challenger:.6g}",
        Tag.GATE_MARGIN: f"{comparison.margin:g}",
        Tag.GATE_LABELS: comparison.labels_used,
    }
