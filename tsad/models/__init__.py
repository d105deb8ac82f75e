"""Models: from windows to estimates."""

from typing import Annotated

from pydantic import Field

from tsad.models.adversarial_transformer import AdversarialTransformerSpec
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.models.tcn_ae import TcnAutoencoderSpec
from tsad.models.transformer_ae import TransformerAutoencoderSpec
from tsad.models.trivial.autoregressive import AutoregressiveRidgeSpec
from tsad.models.trivial.chance import ConstantSpec, RandomSpec
from tsad.models.trivial.isolation_forest import IsolationForestSpec
from tsad.models.trivial.l2 import L2Spec
from tsad.models.trivial.multiscale import MultiscaleLinearSpec
from tsad.models.trivial.nearest import KMeansSpec, NearestNeighbourSpec
from tsad.models.trivial.principal import PcaErrorSpec, WindowLinearSpec
from tsad.models.trivial.range_deviation import RangeDeviationSpec

ModelSpec = Annotated[
    LstmAutoencoderSpec
    | TcnAutoencoderSpec
    | TransformerAutoencoderSpec
    | AdversarialTransformerSpec
    | RecurrentForecasterSpec
    | L2Spec
    | PcaErrorSpec
    | WindowLinearSpec
    | MultiscaleLinearSpec
    | RandomSpec
    | ConstantSpec
    | RangeDeviationSpec
    | NearestNeighbourSpec
    | KMeansSpec
    | AutoregressiveRidgeSpec
    | IsolationForestSpec,
    Field(discriminator="kind"),
]
"""Every model that a YAML can name."""
