"""What a new version of a registered model becomes: champion, or challenger."""

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
class Contest:
    """How a version is compared with the champion.

    Attributes:
        data: What both are judged on.
        split: Where it is cut.
        gate: What is compared.
        injection: What a label-free comparison injects.
    """

    data: DataSet
    split: SplitSpec
    gate: GateSpec
    injection: LabelFreeSpec


@dataclass(frozen=True)
class Decision:
    """What became of a version.

    Attributes:
        outcome: `first`, `promoted`, `rejected` (it stays challenger) or `forced`.
        text: Why, for people.
        metrics: Figures for the run: `gate/champion`, `gate/challenger`, `gate/margin`, as far as there are any.
        tags: Figures for the version.
    """

    outcome: str
    text: str
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def decide(name: str, version: str, challenger: Detector, contest: Contest) -> Decision:
    """Returns what a version of `name` is to become; changes nothing.

    Args:
        name: Of the registered model.
        version: Of the challenger.
        challenger: Its detector.
        contest: How it is compared.

    Raises:
        TsadError: if the champion cannot be loaded, or the two cannot be compared on these rows.
    """
    present = champion_to_beat(name, version)
    if present is None:
        return Decision("first", f"models:/{name} had no champion; version {version} is the first.")
    try:
        champion = load_detector(f"models:/{name}/{present}")
        found = compare(challenger, champion, (contest.data, contest.split), contest.gate, contest.injection)
    except TsadError as error:
        raise TsadError(
            f"version {version} cannot be compared with champion version {present} on these rows ({error}); without a "
            f"comparison: tsad promote models:/{name}/{version} --force"
        ) from None
    if champion_to_beat(name, version) != present:  # somebody else was promoted in the meantime
        return decide(name, version, challenger, contest)
    metrics = {"gate/champion": found.champion, "gate/challenger": found.challenger, "gate/margin": found.margin}
    return Decision(
        "promoted" if found.passed else "rejected", _text(found, version, present), metrics, _tags(found, present)
    )


def settle(name: str, version: str, decision: Decision, writer: RunWriter, folder: Path) -> None:
    """Logs a decision to the run and to the version, and carries it out.

    The run comes first, the alias next, the version's tag `tsad.gate` last: whoever is killed in between and decides once
    more finds the champion that the version was compared with.
    """
    (folder / "gate.txt").write_text(f"{decision.text}\n", encoding="utf-8")
    writer.file(folder / "gate.txt")
    writer.metrics(decision.metrics)
    writer.tags({Tag.GATE: decision.outcome, **decision.tags})
    if decision.outcome != "rejected":
        promote(name, version)
    write_decision(name, version, decision.outcome, decision.tags, decision.text)


def _text(found: Comparison, version: str, present: str) -> str:
    result = f"version {version} replaces version {present}" if found.passed else f"version {present} stays champion"
    labels = "" if found.labels_used == "nothing" else " Labels of these rows chose between the two."
    return f"{found.sentence} So {result}.{labels}"


def _tags(found: Comparison, present: str) -> dict[str, str]:
    return {
        Tag.GATE_CHAMPION_VERSION: present,
        Tag.GATE_METRIC: found.metric,
        Tag.GATE_ROWS: found.rows,
        Tag.GATE_CHAMPION: f"{found.champion:.6g}",
        Tag.GATE_CHALLENGER: f"{found.challenger:.6g}",
        Tag.GATE_MARGIN: f"{found.margin:g}",
        Tag.GATE_LABELS: found.labels_used,
    }
