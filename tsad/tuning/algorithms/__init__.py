"""Search algorithms: strategies that propose the candidates of a search."""

from typing import Annotated

from pydantic import Field

from tsad.tuning.algorithms.aging import AgingSpec
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.grid import GridSpec
from tsad.tuning.algorithms.map_elites import MapElitesSpec
from tsad.tuning.algorithms.optuna import OptunaSpec
from tsad.tuning.algorithms.random import RandomSpec

AlgorithmSpec = Annotated[
    AgingSpec | EvolutionSpec | GridSpec | MapElitesSpec | OptunaSpec | RandomSpec, Field(discriminator="kind")
]
"""All search algorithms that a search space file can name."""
