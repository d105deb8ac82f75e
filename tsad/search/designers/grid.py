"""Grid search: the full factorial of all choices."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tsad.errors import SpecError
from tsad.search.designers.contract import Designer, Nursery, SpaceExhaustedError
from tsad.search.space import ChoiceGene, MissingGeneError, Space
from tsad.spec import Spec
from tsad.trial import Candidate, Trial


class GridSpec(Spec):
    """Every combination of options, each once, in the order of the file; the last gene changes fastest."""

    kind: Literal["grid"]

    def build(self, space: Space, seed: int) -> Designer:
        """Returns the designer; raises `SpecError` if the space has a range, which has no end of values."""
        return GridDesigner(Nursery(space, seed))


class GridDesigner:
    """Walks through the combinations, and learns nothing."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._rest = combinations(nursery.space, {})
        for address, gene in nursery.space.genes.items():
            if not isinstance(gene, ChoiceGene):
                raise SpecError(
                    f"grid takes choices only, but {address} is a range {list(gene.range)}; list its values"
                )

    def suggest(self) -> Candidate | None:
        """Returns the next combination."""

        def propose() -> tuple[Mapping[str, Any], tuple[int, ...]]:
            genes = next(self._rest, None)
            if genes is None:
                raise SpaceExhaustedError
            return genes, ()

        return self._nursery.candidate(propose, generation=0)

    def update(self, trial: Trial) -> None:
        """Does nothing."""


def combinations(space: Space, genes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every complete assignment of the choices that are active under `genes`, those of `genes` kept."""
    try:
        _, active = space.resolve(genes)
        yield active
    except MissingGeneError as missing:
        gene = space.genes[missing.address]
        for place in range(len(gene.choice) if isinstance(gene, ChoiceGene) else 0):
            yield from combinations(space, {**genes, missing.address: place})
