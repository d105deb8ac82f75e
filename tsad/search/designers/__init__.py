"""Designers: strategies that choose what to try next."""

from typing import Annotated

from pydantic import Field

from tsad.search.designers.ageing import AgeingSpec
from tsad.search.designers.evolution import EvolutionSpec
from tsad.search.designers.grid import GridSpec
from tsad.search.designers.optuna import OptunaSpec
from tsad.search.designers.random import RandomSpec

DesignerSpec = Annotated[AgeingSpec | EvolutionSpec | GridSpec | OptunaSpec | RandomSpec, Field(discriminator="kind")]
"""Every designer that a YAML can name."""
