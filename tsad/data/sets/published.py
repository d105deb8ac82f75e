"""The registry of published data sets.

To add one, write a module with a spec that has a `publication`, and add the spec to `PublishedSpec`. `tsad download`, its help,
the documentation, and the union of all data specs follow.
"""

from collections.abc import Mapping
from typing import get_args

from tsad.data.sets import cicddos2019, smd
from tsad.data.sets.publication import Publication

PublishedSpec = smd.SmdSpec | cicddos2019.CicDdos2019Spec
"""Every published data set that a YAML can name."""

PUBLICATIONS: Mapping[str, Publication] = {spec.publication.name: spec.publication for spec in get_args(PublishedSpec)}
"""Published data sets that `tsad download` gets, by name."""
