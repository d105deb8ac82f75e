"""Peaks over threshold: a tail fitted to the largest scores says where one of a stated rarity would lie."""

from math import ceil, expm1, log
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tsad.spec import Spec
from tsad.thresholds.sample import Sample
from tsad.thresholds.threshold import FixedThreshold, scored

PEAKS = 10
"""Fewest peaks that a tail is fitted to."""


class PotSpec(Spec):
    """The threshold that a normal row exceeds with probability `risk` (Siffer et al., KDD 2017, POT and SPOT).

    It reaches beyond the scores seen: a risk of 1e-4 does not need 10,000 rows. The excess of scores over a high quantile is
    taken for generalized Pareto. Where Siffer maximizes the likelihood by Grimshaw's search for roots, `fit_tail` has a
    closed form. Extremes of autocorrelated scores come in clusters, which hold fewer peaks than they seem to.

    Attributes:
        quantile: Share of scores that are no peaks.
        risk: Below 1 - quantile.
    """

    reads_labels: ClassVar[bool] = False
    kind: Literal["pot"]
    quantile: float = Field(0.98, gt=0, lt=1)
    risk: float = Field(1e-4, gt=0, lt=1)

    @model_validator(mode="after")
    def _lies_in_the_tail(self) -> Self:
        if self.risk >= 1 - self.quantile:
            raise ValueError(
                f"risk must be below 1 - quantile, the share of peaks, but got risk={self.risk:g} and quantile="
                f"{self.quantile:g}; take a smaller risk, or percentile"
            )
        return self

    @property
    def scores_needed(self) -> int:
        """Scores of which 10 are above the quantile, if no two are equal."""
        return ceil(round(PEAKS / (1 - self.quantile), 6))

    def fit(self, scores: NDArray[np.float64], labels: NDArray[np.bool_] | None = None) -> "PotThreshold":
        """Returns the threshold; raises ValueError if the scores are too few, or so many equal that fewer than 10 are peaks."""
        way_out = "give more validation rows, a lower threshold.quantile, or take percentile"
        values = scored(self.kind, scores, self.scores_needed, way_out)
        floor = float(np.quantile(values, self.quantile))
        peaks = values[values > floor] - floor
        if len(peaks) < PEAKS:
            raise ValueError(
                f"threshold pot needs at least {PEAKS} scores above the quantile {self.quantile:g}, but {len(peaks)} of "
                f"{len(values)} are above {floor:g}, since many are equal; {way_out}"
            )
        return PotThreshold.of(self, floor, Sample.of(peaks), len(values))


class PotThreshold(FixedThreshold):
    """The tail of all scores so far that were no alarms.

    `update` is SPOT (Siffer, algorithm 2): scores above the threshold are alarms and left out, others count, and those above
    `floor`, which stays, become peaks. SPOT fits anew at each peak, we do once an update: row by row is SPOT itself. False
    alarms are lost to the tail: after 7,000 exponential scores and 33,000 in updates, a risk of 1e-4 has become 2e-4.

    Attributes:
        spec: How rare.
        floor: The initial quantile.
        peaks: Excess of scores over the floor; beyond 10,001 their quantiles.
        count: Scores taken in, peaks and others.
    """

    kind: Literal["pot"] = "pot"
    spec: PotSpec
    floor: float
    peaks: Sample
    count: int = Field(ge=1)

    @classmethod
    def of(cls, spec: PotSpec, floor: float, peaks: Sample, count: int) -> Self:
        """Returns the threshold of a tail: Siffer's equation 1."""
        shape, scale = fit_tail(np.array(peaks.values))
        rarer = log(peaks.count / (count * spec.risk))  # than a peak
        excess = scale / shape * expm1(shape * rarer)
        # equal scores can make peaks rarer than the risk; below the floor the tail says nothing
        return cls(value=floor + max(excess, 0.0), spec=spec, floor=floor, peaks=peaks, count=count)

    @property
    def method(self) -> str:
        """Risk, and where the tail begins."""
        return f"peaks over quantile {self.spec.quantile:g}, risk {self.spec.risk:g}"

    def _updated(self, values: NDArray[np.float64]) -> Self:
        normal = values[values <= self.value]
        peaks = normal[normal > self.floor] - self.floor
        return self.of(self.spec, self.floor, self.peaks.joined(peaks), self.count + len(normal))


def fit_tail(peaks: NDArray[np.float64]) -> tuple[float, float]:
    """Returns shape and scale of the generalized Pareto distribution: P(peak > x) = (1 + shape x / scale) ** (-1 / shape).

    The likelihood of theta = -shape / scale, whose shape follows from it, is averaged over points that quartile and largest
    peak set (Zhang and Stephens, Technometrics 2009): nothing is searched for, so nothing fails to converge, and no shape
    is out of reach. Peaks of one height give a tail that ends right above them.

    Args:
        peaks: (n,) above 0, ascending, n >= 2.
    """
    count = len(peaks)
    points = 20 + int(count**0.5)
    quartile = peaks[int(count / 4 + 0.5) - 1]
    thetas = 1 / peaks[-1] + (1 - np.sqrt(points / (np.arange(points) + 0.5))) / (3 * quartile)
    thetas = thetas[thetas != 0]  # the exponential tail, which the points beside it surround
    shapes = np.log1p(-thetas[:, None] * peaks).mean(axis=1)
    likelihoods = count * (np.log(-thetas / shapes) - shapes - 1)
    weights = np.exp(likelihoods - likelihoods.max())
    theta = float(weights @ thetas / weights.sum())
    shape = float(np.log1p(-theta * peaks).mean())
    return shape, -shape / theta
