"""Data: from files and generators to scaled parts of a series."""

from typing import Annotated

from pydantic import Field

from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.published import PublishedSpec
from tsad.data.sets.synthetic import AnomalyTypesSpec, FiveFeaturesSpec, SingleAnomalySpec, SyntheticSpec

DataSpec = Annotated[
    PublishedSpec | CsvSpec | SyntheticSpec | SingleAnomalySpec | FiveFeaturesSpec | AnomalyTypesSpec,
    Field(discriminator="kind"),
]
"""Every source of data that a YAML can name."""
