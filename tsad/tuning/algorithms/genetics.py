"""What search algorithms that breed share: a first generation that is spread out, and mutation."""

from typing import Any

from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.space import ChoiceParam, Params, Space


def strata(factory: CandidateFactory, count: int) -> list[dict[str, int]]:
    """Returns choices of `count` candidates in which the options of every gene come equally often.

    If they cannot, which of them come once more, or at all, is drawn.
    """
    columns = {
        address: factory.generator.permutation(len(param.choice))[
            factory.generator.permutation(count) % len(param.choice)
        ]
        for address, param in factory.space.params.items()
        if isinstance(param, ChoiceParam)
    }
    return [{address: int(places[row]) for address, places in columns.items()} for row in range(count)]


def widest(space: Space) -> int:
    """Returns the largest number of options that a gene has, of those whose options are no numbers; 0 if there is none."""
    params = space.params.values()
    return max(
        (len(param.choice) for param in params if isinstance(param, ChoiceParam) and not param.numbers), default=0
    )


def mutated(factory: CandidateFactory, active: Params, chance: float = 0.0) -> dict[str, Any]:
    """Returns active genes of which each has changed with a chance, and at least one; 0 changes exactly one.

    Genes that a changed choice needs are left to be drawn, those that it ends are left to be dropped.
    """
    generator = factory.generator
    changes = [address for address in active if chance and generator.random() < chance]
    return dict(active) | {
        address: factory.space.params[address].mutate(active[address], generator)
        for address in changes or [str(generator.choice(sorted(active)))]
    }
