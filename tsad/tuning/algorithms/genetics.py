"""Steps that evolutionary search algorithms share: an evenly spread first generation, crossover and mutation."""

from typing import Any

from tsad.tuning.algorithms.contract import CandidateFactory
from tsad.tuning.space import ChoiceParam, Params, Space


def strata(factory: CandidateFactory, count: int) -> list[dict[str, int]]:
    """Returns option indices for `count` candidates, such that the options of every choice occur equally often.

    If `count` is no multiple of the number of options, the options that occur once more are drawn.
    """
    columns = {
        address: factory.generator.permutation(len(param.choice))[
            factory.generator.permutation(count) % len(param.choice)
        ]
        for address, param in factory.space.params.items()
        if isinstance(param, ChoiceParam)
    }
    return [{address: int(options[row]) for address, options in columns.items()} for row in range(count)]


def largest_choice(space: Space) -> int:
    """Returns the largest number of options among choices whose options are not numbers; 0 if there is no such choice."""
    params = space.params.values()
    return max(
        (len(param.choice) for param in params if isinstance(param, ChoiceParam) and not param.numbers), default=0
    )


def crossed(factory: CandidateFactory, first: Params, second: Params) -> dict[str, Any]:
    """Returns hyperparameters of two parents, each that both have from either with a probability of one half.

    The result holds those that are active and no others; active ones that neither parent has are drawn.

    Args:
        factory: Factory whose generator makes the draws.
        first: Value of each active hyperparameter of one parent by address.
        second: Value of each active hyperparameter of the other parent by address.
    """
    generator = factory.generator
    taken = {address: value for address, value in first.items() if address not in second or generator.random() < 0.5}
    return factory.space.resolve({**second, **taken}, generator)[1]


def mutated(factory: CandidateFactory, active: Params, chance: float = 0.0) -> dict[str, Any]:
    """Returns active hyperparameters of which each has changed with a probability, and at least one has.

    Hyperparameters that a changed choice activates are missing, and those that it deactivates remain; resolving the result
    (`Space.resolve`) draws the former and drops the latter.

    Args:
        factory: Factory whose generator draws the changes.
        active: Value of each active hyperparameter by address; at least one.
        chance: Probability that a hyperparameter changes; 0 changes exactly one.
    """
    generator = factory.generator
    changes = [address for address in active if chance and generator.random() < chance]
    return dict(active) | {
        address: factory.space.params[address].mutate(active[address], generator)
        for address in changes or [str(generator.choice(sorted(active)))]
    }
