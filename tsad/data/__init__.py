"""Data: from files and generators to scaled parts of a series."""

from typing import Annotated

from pydantic import Field

from tsad.data.csv import CsvSpec
from tsad.data.smd import SmdSpec
from tsad.data.synthetic import SyntheticSpec

DataSpec = Annotated[SmdSpec | CsvSpec | SyntheticSpec, Field(discriminator="kind")]
"""Every kind of data that a YAML can name."""
