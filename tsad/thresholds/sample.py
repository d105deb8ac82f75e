"""Scores in a bounded size."""

from array import array
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.spec import Spec

KEPT = 10_001
"""Values kept at most: the percentiles 0, 0.01, ..., 100."""


class Sample(Spec):
    """All scores as long as they are at most `KEPT`; from then on as many evenly spaced quantiles of them.

    Smallest and largest score are kept. Each join beyond `KEPT` moves the rank of a value by at most about 1 / KEPT, so
    join batches, not rows.

    Attributes:
        count: Scores that it stands for.
        values: Ascending.
    """

    count: int
    values: tuple[float, ...] = Field(min_length=1, max_length=KEPT, repr=False)

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(left > right for left, right in pairwise(self.values)) or self.count < len(self.values):
            raise ValueError("a sample must hold ascending values, no more than its count; fit the threshold again")
        return self

    @cached_property
    def packed(self) -> "array[float]":
        """The values as bytes, made once: ten thousand numbers take longer than a request has time for."""
        return array("d", self.values)  # whose equality is a bool, as pydantic wants it of all that an object holds

    @property
    def ascending(self) -> NDArray[np.float64]:
        """The (n,) values, to be read only."""
        return np.frombuffer(self.packed)

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Returns the sample of (n,) finite scores, n >= 1, in any order."""
        return cls._weighted(values, np.ones(len(values)))

    def joined(self, values: NDArray[np.float64]) -> Self:
        """Returns the sample of these scores and of those it stands for."""
        stored = len(self.values)
        weights = np.concatenate([np.full(stored, self.count / stored), np.ones(len(values))])
        return self._weighted(np.concatenate([self.values, values]), weights)

    @classmethod
    def _weighted(cls, values: NDArray[np.float64], weights: NDArray[np.float64]) -> Self:
        order = np.argsort(values)
        values, weights = values[order], weights[order]
        if len(values) > KEPT:
            ranks = weights.cumsum() - weights / 2  # the middle of what each value stands for
            values = np.interp(np.linspace(ranks[0], ranks[-1], KEPT), ranks, values)
            values = np.maximum.accumulate(values)  # interpolation may round the wrong way
        return cls(count=round(weights.sum()), values=tuple(values.tolist()))
