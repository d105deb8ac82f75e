"""Models: from windows to predictions."""

from typing import Annotated

from pydantic import Field

from tsad.models.adversarial_transformer import AdversarialTransformerSpec
from tsad.models.baselines.autoregressive import AutoregressiveRidgeSpec
from tsad.models.baselines.chance import ConstantSpec, RandomSpec
from tsad.models.baselines.isolation_forest import IsolationForestSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.models.baselines.multiscale import MultiscaleLinearSpec
from tsad.models.baselines.nearest import KMeansSpec, NearestNeighborSpec
from tsad.models.baselines.principal import PcaErrorSpec, WindowLinearSpec
from tsad.models.baselines.range_deviation import RangeDeviationSpec
from tsad.models.lstm_ae import LstmAutoencoderSpec
from tsad.models.recurrent_forecaster import RecurrentForecasterSpec
from tsad.models.tcn_ae import TcnAutoencoderSpec
from tsad.models.transformer_ae import TransformerAutoencoderSpec

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
    | NearestNeighborSpec
    | KMeansSpec
    | AutoregressiveRidgeSpec
    | IsolationForestSpec,
    Field(discriminator="kind"),
]
"""Every model that a YAML can name."""
