"""Data: from files and generators to scaled parts of a series."""

from typing import Annotated

from pydantic import Field

from tsad.data.sets.cicddos2019 import CicDdos2019Spec
from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.smd import SmdSpec
from tsad.data.sets.synthetic import AnomalyTypesSpec, FiveFeaturesSpec, SingleAnomalySpec, SyntheticSpec

DataSpec = Annotated[
    SmdSpec | CicDdos2019Spec | CsvSpec | SyntheticSpec | SingleAnomalySpec | FiveFeaturesSpec | AnomalyTypesSpec,
    Field(discriminator="kind"),
]
"""Every kind of data that a YAML can name."""
