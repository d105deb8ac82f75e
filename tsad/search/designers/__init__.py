"""Designers: strategies that choose what to try next."""

from typing import Annotated

from pydantic import Field

from tsad.search.designers.evolution import EvolutionSpec
from tsad.search.designers.random import RandomSpec

DesignerSpec = Annotated[EvolutionSpec | RandomSpec, Field(discriminator="kind")]
"""Every designer that a YAML can name."""
