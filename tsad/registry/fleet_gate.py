"""The promotion gate of fleets: the detectors of each entity are compared on its own rows, and their mean decides."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tsad.detector.detector import Detector
from tsad.errors import DataError, TsadError, shown
from tsad.evaluation.intervals import SEED, paired_difference
from tsad.fleet import Fleet
from tsad.registry.aliases import champion_to_beat
from tsad.registry.gate import Decision, GateInputs, decision_of, first_decision, not_comparable
from tsad.registry.load import load_judge
from tsad.selection.comparison import Comparison, compare
from tsad.selection.objective import LabelFreeSpec

EntityInputs = Mapping[str, Callable[[], GateInputs]]
"""Function that returns the rows and rules of the comparison of an entity, by its name."""


def decide_fleet(name: str, version: str, challenger: Fleet, entities: EntityInputs) -> Decision:
    """Returns the decision about a version that is a fleet; changes nothing.

    The champion may be a fleet or one detector, which then is compared with the detector of each entity. Values are means over
    entities; their interval is a bootstrap of entities.

    Args:
        name: Name of the registered model.
        version: Version that challenges the champion.
        challenger: Fleet of that version.
        entities: Rows and rules of the comparison, for each entity of the data.

    Raises:
        TsadError: if the champion cannot be loaded, the challenger lacks an entity of it, or the two cannot be compared.
    """
    present = champion_to_beat(name, version)
    if present is None:
        return first_decision(name, version)
    try:
        champion = load_judge(f"models:/{name}/{present}")
        if isinstance(champion, Fleet):
            challenger.check(champion.names, "the champion")
        comparison = compare_entities(challenger, champion, entities)
    except TsadError as error:
        raise not_comparable(name, version, present, error) from None
    if champion_to_beat(name, version) != present:  # another version was promoted in the meantime
        return decide_fleet(name, version, challenger, entities)
    return decision_of(comparison, version, present)


def compare_entities(challenger: Fleet, champion: Fleet | Detector, entities: EntityInputs) -> Comparison:
    """Returns the comparison over all entities that both have a detector for.

    Args:
        challenger: New fleet.
        champion: Fleet or detector to beat.
        entities: Rows and rules of the comparison of each entity.

    Raises:
        DataError: if there is no such entity, or the rows of one do not define the metric; it is named.
    """
    names = [name for name in entities if _has(challenger, name) and _has(champion, name)]
    if not names:
        raise DataError(
            f"a comparison needs rows of an entity that both have a detector for, but has {shown([*entities], 200)}; give the "
            f"rows of some of {shown(list(challenger.names), 200)}"
        )
    compared = [_compared(challenger, champion, name, entities[name](), label_free=False) for name in names]
    if len({comparison.metric for comparison in compared}) > 1:  # not every entity has labeled anomalies
        compared = [_compared(challenger, champion, name, entities[name](), label_free=True) for name in names]
    return _mean(compared, len(names), len(entities))


def _has(judge: Fleet | Detector, name: str) -> bool:
    return isinstance(judge, Detector) or judge.manifest.shared is not None or name in judge


def _compared(
    challenger: Fleet, champion: Fleet | Detector, name: str, inputs: GateInputs, *, label_free: bool
) -> Comparison:
    gate = inputs.gate
    if label_free and gate.kind == "auto":
        gate = gate.model_copy(update={"kind": "label_free", "metric": None})
    other = champion if isinstance(champion, Detector) else champion.detector(name)
    injection: LabelFreeSpec = inputs.injection
    try:
        return compare(challenger.detector(name), other, (inputs.data, inputs.split), gate, injection)
    except TsadError as error:
        raise DataError(f"entity {name!r}: {error}") from None


def _mean(compared: list[Comparison], entities: int, of: int) -> Comparison:
    """Returns the means over entities as one comparison."""
    first = np.array([comparison.challenger for comparison in compared])
    second = np.array([comparison.champion for comparison in compared])
    difference, better = None, int((first > second).sum())
    if entities > 1:
        difference = paired_difference(first, second, np.random.default_rng(SEED)).difference
    left_out = "" if entities == of else f" of {of}, the others having no detector in both"
    return replace(
        compared[0],
        rows=f"the rows of {entities} entities{left_out} (mean; the challenger is better for {better})",
        champion=float(second.mean()),
        challenger=float(first.mean()),
        difference=difference,
    )
