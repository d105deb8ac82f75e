"""Built-in series that need no download."""

from tsad.data.sets.synthetic.anomaly_types import AnomalyTypesSpec
from tsad.data.sets.synthetic.coupled import SyntheticSpec
from tsad.data.sets.synthetic.five import FiveFeaturesSpec
from tsad.data.sets.synthetic.single import SingleAnomalySpec

__all__ = ["AnomalyTypesSpec", "FiveFeaturesSpec", "SingleAnomalySpec", "SyntheticSpec"]
