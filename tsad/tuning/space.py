"""The space: an experiment in which some values are hyperparameters.

a hyperparameter stands where the value would stand: `{choice: [...]}`, or `{range: [low, high]}` with `log: true` if wanted.
An option of a choice may itself be a section with hyperparameters; they exist only under that option. a hyperparameter with
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

Params = Mapping[str, Any]
"""Value by address. The address of a hyperparameter inside the option `lstm_ae` of the choice `model` is `model:lstm_ae.hidden`."""


class _Param(Spec):
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)


class ChoiceParam(_Param):
    """One of several options.

    Attributes:
        choice: The options: plain values, or sections that may hold hyperparameters themselves.
        when: Paths and the values under which the hyperparameter exists.
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


class RangeParam(_Param):
    """A number between two others; a whole number if both ends are written as such (`[8, 64]`, not `[8.0, 64.0]`).

    Attributes:
        range: Smallest and largest value, both reachable.
        log: Uniform in the logarithm.
        when: Paths and the values under which the hyperparameter exists.
    """

    range: tuple[int | float, int | float]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "RangeParam":
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


Param = ChoiceParam | RangeParam


class MissingParamError(ValueError):
    """An active hyperparameter has no value.

    Attributes:
        address: Of the hyperparameter.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"hyperparameter {address} is active and must have a value; give one, or a generator to draw it"
        )
        self.address = address


class Space:
    """A template of experiments, its hyperparameters found and checked once.

    Attributes:
        template: As it was read.
        hyperparameters: By address, in the order of the template.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template
        self.params: dict[str, Param] = dict(_find(template, ""))

    def resolve(self, params: Params, generator: Generator | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the experiment's values, and the hyperparameters that are active in it.

        Values come from `params` where it has the address; the others are drawn. Hyperparameters that are not active are dropped.

        Raises:
            MissingParamError: if an active hyperparameter has no value and there is no generator to draw it.
        """
        walk = _Walk(self.params, params, generator)
        values: dict[str, Any] = walk.fill(self.template, "", "")
        while ready := [late for late in walk.late if _holds(self.params[late[0]].when, values)]:
            walk.late = [late for late in walk.late if late not in ready]
            for address, path in ready:  # which may fulfill the conditions of others, and bring more
                values = put(values, {path: walk.express(address, path)})
        return values, walk.active


@dataclass
class _Walk:
    """One walk through a template.

    Attributes:
        space: Hyperparameter by address.
        given: Values that are known beforehand.
        generator: Draws the others; None if there must be no others.
        active: Values of the hyperparameters that were met.
        late: Address and path of hyperparameters whose condition can only be judged when the rest stands.
    """

    space: Mapping[str, Param]
    given: Params
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
        """Returns the value of a hyperparameter, the hyperparameters inside a chosen section expressed too."""
        param = self.space[address]
        if address in self.given:
            self.active[address] = self.given[address]
        elif self.generator is not None:
            self.active[address] = param.draw(self.generator)
        else:
            raise MissingParamError(address)
        if isinstance(param, RangeParam):
            return self.active[address]
        place = self.active[address]
        return self.fill(param.choice[place], _inside(address, param, place), path)


def _find(node: Any, address: str) -> Iterator[tuple[str, Param]]:
    if not isinstance(node, Mapping):
        return
    if not {"choice", "range"} & node.keys():
        for name, child in node.items():
            yield from _find(child, f"{address}.{name}".lstrip("."))
        return
    param = _param(node, address)
    yield address, param
    if isinstance(param, ChoiceParam):
        for place, option in enumerate(param.choice):
            yield from _find(option, _inside(address, param, place))


def _param(node: Mapping[str, Any], address: str) -> Param:
    try:
        return parse(ChoiceParam, node, "this") if "choice" in node else parse(RangeParam, node, "this")
    except SpecError as error:
        raise SpecError(
            f"{address}: a hyperparameter must be {{choice: [options]}} or {{range: [low, high], log: true}}, with or without "
            f"when: {{path: [values]}}, but {error}"
        ) from None


def _inside(address: str, param: ChoiceParam, place: int) -> str:
    """Returns the address of what is inside an option: `model:lstm_ae` if the kind names it, else `model:0`."""
    kinds = [option.get("kind") if isinstance(option, Mapping) else None for option in param.choice]
    kind = kinds[place]
    return f"{address}:{kind if kind is not None and kinds.count(kind) == 1 else place}"


def _holds(when: Mapping[str, tuple[Any, ...]], values: Mapping[str, Any]) -> bool:
    leaves = flatten(values)
    return all(leaves.get(path) in allowed for path, allowed in when.items())
