"""A surrogate of the objective: a Gaussian process on hyperparameters (Rasmussen and Williams 2006, chapters 2 and 5)."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import ndtr

from tsad.arrays import Floats
from tsad.tuning.space import ChoiceParam, Param, Params, Space

_NOISE = 0.1
"""Variance of the noise in units of the signal's, from which the fit starts."""
_PRIOR_DEVIATION = 1.0
"""Standard deviation of the lognormal prior of weights and noise."""
_LARGEST_FACTOR = 1000.0
"""Largest factor by which a weight or the noise may differ from its start, so that the kernel matrix stays regular."""
_SMALLEST_VARIANCE = 1e-9
"""Lower bound of posterior variances, which rounding could make negative."""


class Surrogate:
    """A Gaussian process with the kernel exp(-sum over hyperparameters of weight x distance), one weight for each.

    Two different options of a choice are at distance 1. Numbers are at the distance of their positions between the smallest,
    0, and the largest, 1. A number that is active in one of the two candidates only is at distance 1 from the middle, 1.5
    from the ends. Weights and noise are those of the largest marginal likelihood under a lognormal prior. They are sought by
    doubling and halving one at a time; each `fit` goes over them once, from where the last one ended, so it costs little.

    Args:
        space: Search space of the hyperparameters.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._start = np.array([*np.ones(len(space.params)), _NOISE])
        self._scales = self._start  # the weights, then the noise
        self._columns: list[Floats] = []
        self._center, self._unit = 0.0, 1.0
        self._targets = np.empty(0)
        self._factor = np.empty((0, 0))
        self._white = np.empty(0)

    def fit(self, params: Sequence[Params], values: Floats) -> None:
        """Fits the process to the values of N candidates and forgets pending ones.

        Args:
            params: Hyperparameters of each candidate; at least one candidate.
            values: Shape (N,), finite, to be maximized.
        """
        self._center, self._unit = float(values.mean()), float(values.std()) or 1.0
        self._targets = (values - self._center) / self._unit
        self._columns = self._encoded(params)
        distances = _distances(self._columns, self._columns)
        best = self._likelihood(distances, self._scales)
        for index in range(len(self._scales)):
            for step in (2.0, 0.5):
                scales = self._scales.copy()
                scales[index] *= step
                if not 1 / _LARGEST_FACTOR <= scales[index] / self._start[index] <= _LARGEST_FACTOR:
                    continue
                if (likelihood := self._likelihood(distances, scales)) > best:
                    best, self._scales = likelihood, scales
                    break
        self._factor = _factor(distances, self._scales)
        self._white = solve_triangular(self._factor, self._targets, lower=True, check_finite=False)

    def add_pending(self, params: Params) -> None:
        """Takes the prediction for a candidate without result as its value, so that the next proposals lie elsewhere."""
        new = self._encoded([params])
        shadow = self._shadow(new)
        edge = np.sqrt(np.maximum(1 + self._scales[-1] - np.square(shadow).sum(axis=0), _SMALLEST_VARIANCE))
        self._targets = np.append(self._targets, self._white @ shadow)
        self._factor = np.block([[self._factor, np.zeros_like(shadow)], [shadow.T, edge]])
        self._white = np.append(self._white, 0.0)  # a prediction adds nothing to the residual
        self._columns = [np.vstack(pair) for pair in zip(self._columns, new, strict=True)]

    def expected_improvement(self, params: Sequence[Params]) -> Floats:
        """Returns the expected improvement of each candidate over the best value so far (Jones et al. 1998, eq. 15)."""
        mean, deviation = self._posterior(self._encoded(params))
        ahead = mean - self._targets.max()
        z = ahead / deviation
        return np.asarray(ahead * ndtr(z) + deviation * np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi))

    def predict(self, params: Sequence[Params]) -> Floats:
        """Returns the predicted value of each candidate, in the units of the values of `fit`."""
        return self._center + self._unit * self._posterior(self._encoded(params))[0]

    def _posterior(self, columns: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Returns posterior means and standard deviations, in the units of the targets."""
        shadow = self._shadow(columns)
        signal = (self._white @ self._white + 1) / (len(self._white) + 1)
        variance = np.maximum(1 - np.square(shadow).sum(axis=0), _SMALLEST_VARIANCE) * signal
        return self._white @ shadow, np.sqrt(variance)

    def _shadow(self, columns: Sequence[Floats]) -> Floats:
        """Returns the solution of factor x shadow = kernel between fitted and other candidates, shape (fitted, others)."""
        across = np.exp(-np.tensordot(self._scales[:-1], _distances(self._columns, columns), 1))
        return np.asarray(solve_triangular(self._factor, across, lower=True, check_finite=False))

    def _likelihood(self, distances: Floats, scales: Floats) -> float:
        """Returns the log marginal likelihood, the variance of the signal integrated out, plus the log prior of the scales."""
        factor = _factor(distances, scales)
        white = solve_triangular(factor, self._targets, lower=True, check_finite=False)
        count = len(white)
        prior = np.square(np.log(scales / self._start) / _PRIOR_DEVIATION).sum() / 2
        return float(-(count + 1) / 2 * np.log(white @ white + 1) - np.log(np.diag(factor)).sum() - prior)

    def _encoded(self, params: Sequence[Params]) -> list[Floats]:
        """Returns for each hyperparameter of the space an array of shape (candidates, columns)."""
        return [
            np.array([_columns(param, candidate.get(address)) for candidate in params])
            for address, param in self._space.params.items()
        ]


def _factor(distances: Floats, scales: Floats) -> Floats:
    """Returns the lower Cholesky factor of the kernel matrix with noise."""
    kernel = np.exp(-np.tensordot(scales[:-1], distances, 1))
    return np.linalg.cholesky(kernel + scales[-1] * np.eye(len(kernel)))


def _distances(one: Sequence[Floats], other: Sequence[Floats]) -> Floats:
    """Returns the distances of all pairs by hyperparameter, shape (hyperparameters, one, other)."""
    return np.stack([cdist(a, b, "cityblock") for a, b in zip(one, other, strict=True)])


def _columns(param: Param, value: float | None) -> list[float]:
    """Returns numbers whose absolute differences sum to the distance of two values; None means that it is not active."""
    if isinstance(param, ChoiceParam) and not param.numbers:
        return [0.5 * (option == value) for option in (*range(len(param.choice)), None)]
    if value is None:
        return [0.0, 0.5]
    if isinstance(param, ChoiceParam):
        return [1.0, sorted(param.choice).index(param.choice[int(value)]) / max(1, len(param.choice) - 1)]
    low, high = np.log(param.range) if param.log else param.range
    return [1.0, ((np.log(value) if param.log else value) - low) / (high - low)]
