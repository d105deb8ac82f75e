"""The space: an experiment in which some values are genes.

A gene stands where the value would stand: `{choice: [...]}`, or `{range: [low, high]}` with `log: true` if wanted.
An option of a choice may itself be a section with genes; they exist only under that option. A gene with
`when: {model.kind: [lstm_ae, tcn_ae]}` exists only if the resolved values at those paths are among those listed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from tsad.errors import SpecError
from tsad.spec import Spec, flatten, parse, put

Genes = Mapping[str, Any]
"""Value by address. The address of a gene inside the option `lstm_ae` of the choice `model` is `model:lstm_ae.hidden`."""


class _Gene(Spec):
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)


class ChoiceGene(_Gene):
    """One of several options.

    Attributes:
        choice: The options: plain values, or sections that may hold genes themselves.
        when: Paths and the values under which the gene exists.
    """

    choice: tuple[Any, ...] = Field(min_length=1)

    @property
    def numbers(self) -> bool:
        """Whether the options are numbers, which lie near each other or far apart; others are just different."""
        return all(isinstance(option, int | float) and not isinstance(option, bool) for option in self.choice)

    def draw(self, generator: Generator) -> int:
        """Returns the place of an option, all equally likely."""
        return int(generator.integers(len(self.choice)))

    def mutate(self, value: int, generator: Generator) -> int:
        """Returns the place of another option, or the same if there is only one."""
        return int((value + generator.integers(1, max(2, len(self.choice)))) % len(self.choice))


class RangeGene(_Gene):
    """A number between two others; a whole number if both ends are written as such (`[8, 64]`, not `[8.0, 64.0]`).

    Attributes:
        range: Smallest and largest value, both reachable.
        log: Uniform in the logarithm.
        when: Paths and the values under which the gene exists.
    """

    range: tuple[int | float, int | float]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "RangeGene":
        low, high = self.range
        if not low < high or (self.log and low <= 0):
            raise ValueError(f"range must ascend, and start above 0 if log, but got {list(self.range)}")
        return self

    @property
    def whole(self) -> bool:
        """Whether the value is a whole number."""
        return all(isinstance(edge, int) for edge in self.range)

    def draw(self, generator: Generator) -> float:
        """Returns a value, uniform (in the logarithm, if so)."""
        return self._at(generator.random())

    def mutate(self, value: float, generator: Generator) -> float:
        """Returns another value near `value`: normal around it with a fifth of the range as deviation, kept inside."""
        low, high = self._edges()
        place = ((np.log(value) if self.log else value) - low) / (high - low)
        for _ in range(100):
            near = self._at(float(np.clip(place + 0.2 * generator.standard_normal(), 0, 1)))
            if near != value:
                return near
        return self.draw(generator)

    def points(self) -> list[float]:
        """Returns what a grid takes: all whole numbers if they are at most 8, else 5 values at even distances, ends too."""
        low, high = self.range
        if self.whole and high - low < 8:
            return list(range(int(low), int(high) + 1))
        return list(dict.fromkeys(self._at(place) for place in np.linspace(0, 1, 5).tolist()))

    def _edges(self) -> tuple[float, float]:
        """Returns the ends on the scale that draws are uniform on; each whole number has the same room around it."""
        low, high = (self.range[0] - 0.5, self.range[1] + 0.5) if self.whole else self.range
        return (float(np.log(low)), float(np.log(high))) if self.log else (float(low), float(high))

    def _at(self, place: float) -> float:
        low, high = self._edges()
        value = low + place * (high - low)
        value = float(np.exp(value)) if self.log else value
        shown = round(value) if self.whole else float(f"{value:.4g}")  # four digits: tables stay readable
        return min(max(shown, self.range[0]), self.range[1])


Gene = ChoiceGene | RangeGene


class MissingGeneError(ValueError):
    """An active gene has no value.

    Attributes:
        address: Of the gene.
    """

    def __init__(self, address: str) -> None:
        super().__init__(f"gene {address} is active and must have a value; give one, or a generator to draw it")
        self.address = address


class Space:
    """A template of experiments, its genes found and checked once.

    Attributes:
        template: As it was read.
        genes: By address, in the order of the template.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template
        self.genes: dict[str, Gene] = dict(_find(template, ""))

    def resolve(self, genes: Genes, generator: Generator | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the experiment's values, and the genes that are active in it.

        Values come from `genes` where it has the address; the others are drawn. Genes that are not active are dropped.

        Raises:
            MissingGeneError: if an active gene has no value and there is no generator to draw it.
        """
        walk = _Walk(self.genes, genes, generator)
        values: dict[str, Any] = walk.fill(self.template, "", "")
        while ready := [late for late in walk.late if _holds(self.genes[late[0]].when, values)]:
            walk.late = [late for late in walk.late if late not in ready]
            for address, path in ready:  # which may fulfill the conditions of others, and bring more
                values = put(values, {path: walk.express(address, path)})
        return values, walk.active


@dataclass
class _Walk:
    """One walk through a template.

    Attributes:
        space: Gene by address.
        given: Values that are known beforehand.
        generator: Draws the others; None if there must be no others.
        active: Values of the genes that were met.
        late: Address and path of genes whose condition can only be judged when the rest stands.
    """

    space: Mapping[str, Gene]
    given: Genes
    generator: Generator | None
    active: dict[str, Any] = field(default_factory=dict)
    late: list[tuple[str, str]] = field(default_factory=list)

    def fill(self, node: Any, address: str, path: str) -> Any:
        """Returns what stands at `path` of the experiment where the template has `node`."""
        if not isinstance(node, Mapping):
            return node
        filled = {}
        for name, child in node.items():
            below, there = f"{address}.{name}".lstrip("."), f"{path}.{name}".lstrip(".")
            if below not in self.space:
                filled[name] = self.fill(child, below, there)
            elif self.space[below].when:
                self.late.append((below, there))
            else:
                filled[name] = self.express(below, there)
        return filled

    def express(self, address: str, path: str) -> Any:
        """Returns the value of a gene, the genes inside a chosen section expressed too."""
        gene = self.space[address]
        if address in self.given:
            self.active[address] = self.given[address]
        elif self.generator is not None:
            self.active[address] = gene.draw(self.generator)
        else:
            raise MissingGeneError(address)
        if isinstance(gene, RangeGene):
            return self.active[address]
        place = self.active[address]
        return self.fill(gene.choice[place], _inside(address, gene, place), path)


def _find(node: Any, address: str) -> Iterator[tuple[str, Gene]]:
    if not isinstance(node, Mapping):
        return
    if not {"choice", "range"} & node.keys():
        for name, child in node.items():
            yield from _find(child, f"{address}.{name}".lstrip("."))
        return
    gene = _gene(node, address)
    yield address, gene
    if isinstance(gene, ChoiceGene):
        for place, option in enumerate(gene.choice):
            yield from _find(option, _inside(address, gene, place))


def _gene(node: Mapping[str, Any], address: str) -> Gene:
    try:
        return parse(ChoiceGene, node, "this") if "choice" in node else parse(RangeGene, node, "this")
    except SpecError as error:
        raise SpecError(
            f"{address}: a gene must be {{choice: [options]}} or {{range: [low, high], log: true}}, with or without "
            f"when: {{path: [values]}}, but {error}"
        ) from None


def _inside(address: str, gene: ChoiceGene, place: int) -> str:
    """Returns the address of what is inside an option: `model:lstm_ae` if the kind names it, else `model:0`."""
    kinds = [option.get("kind") if isinstance(option, Mapping) else None for option in gene.choice]
    kind = kinds[place]
    return f"{address}:{kind if kind is not None and kinds.count(kind) == 1 else place}"


def _holds(when: Mapping[str, tuple[Any, ...]], values: Mapping[str, Any]) -> bool:
    leaves = flatten(values)
    return all(leaves.get(path) in allowed for path, allowed in when.items())
