"""Losses: from the output for a batch to one number that training makes small."""

from typing import Annotated

from pydantic import Field

from tsad.losses.adversarial import AdversarialSpec
from tsad.losses.info_nce import InfoNceSpec
from tsad.losses.masked_error import MaskedErrorSpec
from tsad.losses.robust_error import AbsoluteErrorSpec, HuberErrorSpec
from tsad.losses.squared_error import SquaredErrorSpec

TermSpec = Annotated[
    SquaredErrorSpec | AbsoluteErrorSpec | HuberErrorSpec | MaskedErrorSpec | InfoNceSpec | AdversarialSpec,
    Field(discriminator="kind"),
]
"""Every loss term that a YAML can name."""
