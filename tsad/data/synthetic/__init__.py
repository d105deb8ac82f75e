"""Built-in series that need no download."""

from tsad.data.synthetic.coupled import SyntheticSpec
from tsad.data.synthetic.five import FiveFeaturesSpec
from tsad.data.synthetic.kinds import KindsSpec
from tsad.data.synthetic.single import SingleAnomalySpec

__all__ = ["FiveFeaturesSpec", "KindsSpec", "SingleAnomalySpec", "SyntheticSpec"]
