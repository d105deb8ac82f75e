"""Built-in series that need no download."""

from tsad.data.sets.synthetic.coupled import SyntheticSpec
from tsad.data.sets.synthetic.five import FiveFeaturesSpec
from tsad.data.sets.synthetic.kinds import KindsSpec
from tsad.data.sets.synthetic.single import SingleAnomalySpec

__all__ = ["FiveFeaturesSpec", "KindsSpec", "SingleAnomalySpec", "SyntheticSpec"]
