"""Evolution by generations: elites, tournament, crossover, mutation (Eiben and Smith 2015, chapters 3 and 5)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from tsad.search.designers.contract import Designer, Nursery
from tsad.search.space import ChoiceGene, Space
from tsad.spec import Spec
from tsad.trial import Candidate, Trial


class EvolutionSpec(Spec):
    """How candidates are bred.

    Attributes:
        population: Candidates in a generation.
        elites: Best parents so far that stay parents beside the next generation; they are not trained again.
        tournament: Parents drawn at random, the best of which breeds.
        crossover: Chance that a child has two parents, each gene from either.
        mutation: Chance that a gene of a child changes.
    """

    kind: Literal["evolution"] = "evolution"
    population: int = Field(6, ge=2)
    elites: int = Field(3, ge=1)
    tournament: int = Field(3, ge=1)
    crossover: float = Field(0.5, ge=0, le=1)
    mutation: float = Field(0.25, gt=0, le=1)

    @model_validator(mode="after")
    def _some_new(self) -> "EvolutionSpec":
        if self.elites > self.population:
            raise ValueError(f"elites must not exceed population, but got {self.elites} and {self.population}")
        return self

    def build(self, space: Space, seed: int) -> Designer:
        """Returns the designer."""
        return EvolutionDesigner(self, Nursery(space, seed))


class EvolutionDesigner:
    """Breeds a generation from the finished trials of the one before and the elites.

    A generation is proposed only when the one before has ended, so what is proposed does not depend on which of the
    running trials ends first. Stopped and failed trials never breed: their values are not those of a whole training.
    """

    def __init__(self, spec: EvolutionSpec, nursery: Nursery) -> None:
        self._spec = spec
        self._nursery = nursery
        self._generation = 0
        self._born = 0
        self._running: set[int] = set()
        self._finished: list[Trial] = []
        self._parents: list[Trial] = []
        self._strata = _strata(nursery, spec.population)

    def suggest(self) -> Candidate | None:
        """Returns the next child of the generation, or None while the last of the one before are running."""
        if self._born == self._spec.population:
            if self._running:
                return None
            self._turn()
        candidate = self._nursery.candidate(self._breed, self._generation)
        self._born += 1
        self._running.add(candidate.number)
        return candidate

    def update(self, trial: Trial) -> None:
        """Takes a finished trial into the generation's balance."""
        self._running.discard(trial.candidate.number)
        if trial.state == "finished" and trial.value is not None:
            self._finished.append(trial)

    def _turn(self) -> None:
        elites = self._parents[: self._spec.elites]
        self._parents = sorted(elites + self._finished, key=lambda trial: trial.rank)[: self._spec.population]
        self._finished = []
        self._generation += 1
        self._born = 0

    def _breed(self) -> tuple[Mapping[str, Any], tuple[int, ...]]:
        """Returns genes of a child; without parents, those of the next stratum, or none, so that all are drawn."""
        if not self._parents:
            return (self._strata.pop() if self._strata else {}), ()
        generator = self._nursery.generator
        mother = self._select(self._parents)
        genes, family = dict(mother.candidate.genes), {mother.candidate.number}
        others = [parent for parent in self._parents if parent is not mother]
        if others and generator.random() < self._spec.crossover:
            father = self._select(others)
            family.add(father.candidate.number)
            genes = dict(father.candidate.genes) | {
                address: value
                for address, value in genes.items()
                if address not in father.candidate.genes or generator.random() < 0.5
            }
        return self._mutated(genes), tuple(sorted(family))

    def _select(self, parents: Sequence[Trial]) -> Trial:
        rivals = self._nursery.generator.integers(len(parents), size=self._spec.tournament)
        return min((parents[int(rival)] for rival in rivals), key=lambda trial: trial.rank)

    def _mutated(self, genes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns genes of which at least one has changed; what a changed choice needs is drawn anew."""
        generator, space = self._nursery.generator, self._nursery.space
        _, active = space.resolve(genes, generator)
        changes = [address for address in active if generator.random() < self._spec.mutation]
        for address in changes or [str(generator.choice(sorted(active)))]:
            active[address] = space.genes[address].mutate(active[address], generator)
        return active


def _strata(nursery: Nursery, count: int) -> list[dict[str, int]]:
    """Returns choices for the first generation in which the options of every gene come equally often."""
    columns = {
        address: nursery.generator.permutation(count) % len(gene.choice)
        for address, gene in nursery.space.genes.items()
        if isinstance(gene, ChoiceGene)
    }
    return [{address: int(places[row]) for address, places in columns.items()} for row in range(count)]
