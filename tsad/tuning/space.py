"""The search space: an experiment in which some values are hyperparameters.

A hyperparameter replaces a value: `{choice: [...]}`, or `{range: [low, high]}` with `log: true` for a logarithmic scale. An
option of a choice may itself be a section with hyperparameters, which exist only under that option. A hyperparameter with
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
"""Value of each hyperparameter by its address; of a choice, the index of the option.

The address of a hyperparameter inside the option `lstm_ae` of the choice `model` is `model:lstm_ae.hidden`.
"""


class _Param(Spec):
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)


class ChoiceParam(_Param):
    """A hyperparameter whose value is one of several options.

    Attributes:
        choice: The options: plain values, or sections that may hold hyperparameters themselves.
        when: Values by path; the hyperparameter exists only if the experiment has one of the listed values at each path.
    """

    choice: tuple[Any, ...] = Field(min_length=1)

    @property
    def numbers(self) -> bool:
        """Whether all options are numbers, which have distances; other options are just different."""
        return all(isinstance(option, int | float) and not isinstance(option, bool) for option in self.choice)

    def draw(self, generator: Generator) -> int:
        """Returns the index of an option, all with equal probability."""
        return int(generator.integers(len(self.choice)))

    def mutate(self, value: int, generator: Generator) -> int:
        """Returns the index of another option, or the same index if there is only one option."""
        return int((value + generator.integers(1, max(2, len(self.choice)))) % len(self.choice))


class RangeParam(_Param):
    """A hyperparameter whose value is a number in a range; an integer if both ends are (`[8, 64]`, not `[8.0, 64.0]`).

    Attributes:
        range: Smallest and largest value, both included.
        log: Whether values are uniform in the logarithm.
        when: Values by path; the hyperparameter exists only if the experiment has one of the listed values at each path.
    """

    range: tuple[int | float, int | float]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "RangeParam":
        low, high = self.range
        if not low < high or (self.log and low <= 0):
            raise ValueError(
                f"range must ascend, and start above 0 if log, but got {list(self.range)}; swap the ends, or set log: false"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether the value is an integer."""
        return all(isinstance(edge, int) for edge in self.range)

    def draw(self, generator: Generator) -> float:
        """Returns a value, uniform on the scale of the range."""
        return self._at(generator.random())

    def mutate(self, value: float, generator: Generator) -> float:
        """Returns another value near `value`: normal around it with a fifth of the range as deviation, clipped to the range."""
        low, high = self._edges()
        position = ((np.log(value) if self.log else value) - low) / (high - low)
        for _ in range(100):
            near = self._at(float(np.clip(position + 0.2 * generator.standard_normal(), 0, 1)))
            if near != value:
                return near
        return self.draw(generator)

    def points(self) -> list[float]:
        """Returns the values of a grid: all integers if there are at most 8, else 5 evenly spaced values from end to end."""
        low, high = self.range
        if self.whole and high - low < 8:
            return list(range(int(low), int(high) + 1))
        return list(dict.fromkeys(self._at(position) for position in np.linspace(0, 1, 5).tolist()))

    def _edges(self) -> tuple[float, float]:
        """Returns the ends on the scale on which draws are uniform; every integer has an interval of the same width."""
        low, high = (self.range[0] - 0.5, self.range[1] + 0.5) if self.whole else self.range
        return (float(np.log(low)), float(np.log(high))) if self.log else (float(low), float(high))

    def _at(self, position: float) -> float:
        """Returns the value at a position from 0, the lower end, to 1, the upper end."""
        low, high = self._edges()
        value = low + position * (high - low)
        value = float(np.exp(value)) if self.log else value
        rounded = round(value) if self.whole else float(f"{value:.4g}")  # four digits, so that tables stay readable
        return min(max(rounded, self.range[0]), self.range[1])


Param = ChoiceParam | RangeParam
"""A hyperparameter of a search space."""


class MissingParamError(ValueError):
    """An active hyperparameter has no value.

    Attributes:
        address: Address of the hyperparameter.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"hyperparameter {address} is active and must have a value; give one, or a generator to draw it"
        )
        self.address = address


class Space:
    """A template of experiments whose hyperparameters are parsed and checked once.

    Example:
        >>> space = Space({"window": {"length": {"choice": [8, 16]}}, "seed": 3})
        >>> list(space.params)
        ['window.length']
        >>> space.resolve({"window.length": 1})
        ({'window': {'length': 16}, 'seed': 3}, {'window.length': 1})

    Args:
        template: Values of an experiment, some of them hyperparameters.

    Attributes:
        template: The template as it was read.
        params: Each hyperparameter by its address, in the order of the template.

    Raises:
        SpecError: if a hyperparameter is not written as a choice or a range.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template
        self.params: dict[str, Param] = dict(_params(template, ""))

    def resolve(self, params: Params, generator: Generator | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the values of an experiment, and the hyperparameters that are active in it.

        Args:
            params: Value of hyperparameters by address; those that are not active are dropped.
            generator: Draws active hyperparameters that `params` lacks; None if it must lack none.

        Raises:
            MissingParamError: if an active hyperparameter has no value and there is no generator to draw it.
        """
        resolution = _Resolution(self.params, params, generator)
        values: dict[str, Any] = resolution.fill(self.template, "", "")
        while ready := [item for item in resolution.conditional if _holds(self.params[item[0]].when, values)]:
            resolution.conditional = [item for item in resolution.conditional if item not in ready]
            for address, path in ready:  # which may fulfill the conditions of others, or add conditional ones
                values = put(values, {path: resolution.value(address, path)})
        return values, resolution.active


@dataclass
class _Resolution:
    """The state of filling a template.

    Attributes:
        params: Each hyperparameter of the space by address.
        fixed: Values that are not drawn, by address.
        generator: Draws the other values; None if there must be no others.
        active: Value of each hyperparameter that was met, by address.
        conditional: Address and path of each hyperparameter whose condition can be judged only when the rest is filled.
    """

    params: Mapping[str, Param]
    fixed: Params
    generator: Generator | None
    active: dict[str, Any] = field(default_factory=dict)
    conditional: list[tuple[str, str]] = field(default_factory=list)

    def fill(self, node: Any, address: str, path: str) -> Any:
        """Returns the value at `path` of the experiment where the template has `node`."""
        if not isinstance(node, Mapping):
            return node
        filled = {}
        for name, child in node.items():
            child_address, child_path = f"{address}.{name}".lstrip("."), f"{path}.{name}".lstrip(".")
            if child_address not in self.params:
                filled[name] = self.fill(child, child_address, child_path)
            elif self.params[child_address].when:
                self.conditional.append((child_address, child_path))
            else:
                filled[name] = self.value(child_address, child_path)
        return filled

    def value(self, address: str, path: str) -> Any:
        """Returns the value of a hyperparameter; a chosen section is filled in turn."""
        param = self.params[address]
        if address in self.fixed:
            self.active[address] = self.fixed[address]
        elif self.generator is not None:
            self.active[address] = param.draw(self.generator)
        else:
            raise MissingParamError(address)
        if isinstance(param, RangeParam):
            return self.active[address]
        option = self.active[address]
        return self.fill(param.choice[option], _option_address(address, param, option), path)


def _params(node: Any, address: str) -> Iterator[tuple[str, Param]]:
    """Yields address and hyperparameter of each hyperparameter below a node of a template."""
    if not isinstance(node, Mapping):
        return
    if not {"choice", "range"} & node.keys():
        for name, child in node.items():
            yield from _params(child, f"{address}.{name}".lstrip("."))
        return
    param = _param(node, address)
    yield address, param
    if isinstance(param, ChoiceParam):
        for index, option in enumerate(param.choice):
            yield from _params(option, _option_address(address, param, index))


def _param(node: Mapping[str, Any], address: str) -> Param:
    try:
        return parse(ChoiceParam, node, "this") if "choice" in node else parse(RangeParam, node, "this")
    except SpecError as error:
        raise SpecError(
            f"{address}: a hyperparameter must be {{choice: [options]}} or {{range: [low, high], log: true}}, with or without "
            f"when: {{path: [values]}}, but {error}"
        ) from None


def _option_address(address: str, param: ChoiceParam, index: int) -> str:
    """Returns the address of an option of a choice: `model:lstm_ae` if its kind is unique among the options, else `model:0`."""
    kinds = [option.get("kind") if isinstance(option, Mapping) else None for option in param.choice]
    kind = kinds[index]
    return f"{address}:{kind if kind is not None and kinds.count(kind) == 1 else index}"


def _holds(when: Mapping[str, tuple[Any, ...]], values: Mapping[str, Any]) -> bool:
    leaves = flatten(values)
    return all(leaves.get(path) in allowed for path, allowed in when.items())


# --- how hyperparameters are named ---


def param_names(space: Space) -> dict[str, str]:
    """Returns a short name of each hyperparameter: the shortest end of its address that no other address has.

    Such as `hidden`, or `lstm_ae.hidden` if there is a `tcn_ae.hidden`.
    """
    parts = {address: address.replace(":", ".").split(".") for address in space.params}
    ends = {address: [".".join(words[-size:]) for size in range(1, len(words) + 1)] for address, words in parts.items()}
    all_ends = [end for own in ends.values() for end in own]
    return {address: next((end for end in own if all_ends.count(end) == 1), own[-1]) for address, own in ends.items()}


def param_value(param: Param, value: Any) -> str:
    """Returns the value of a hyperparameter for people: a number, an option, or the kind of a section.

    The index of the option follows if several sections have the kind.
    """
    if not isinstance(param, ChoiceParam):
        return f"{value:g}"
    option = param.choice[value]
    if not isinstance(option, Mapping):
        return str(option)
    kinds = [section.get("kind", "option") if isinstance(section, Mapping) else None for section in param.choice]
    return str(kinds[value]) if kinds.count(kinds[value]) == 1 else f"{kinds[value]}#{value}"


def param_values(params: Params, space: Space) -> dict[str, str]:
    """Returns the values of hyperparameters for people, by short name, in the order of the space."""
    names = param_names(space)
    return {
        names[address]: param_value(param, params[address])
        for address, param in space.params.items()
        if address in params
    }
