"""Small things that tests of several rooms are made of: union members, rows, fitted scorers."""

from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pandas as pd
import torch

from tsad.data.scale import Scaler, StandardScalerSpec
from tsad.detector.detector import Detector, Scorer
from tsad.detector.score_table import Events
from tsad.detector.scoring import ScoringSpec
from tsad.losses.contract import TrainingContext
from tsad.models.contract import ClosedFormModel, Model, Prediction
from tsad.series import Series
from tsad.thresholds.percentile import PercentileSpec
from tsad.training.objective import ObjectiveSpec, Trainable, trainables
from tsad.training.seeds import seeded
from tsad.windows import cut


def members(union: Any) -> list[Any]:
    """Returns the specs of `Annotated[A | B, ...]`, or the one spec that stands where a union may come to stand."""
    inner = get_args(union)[0] if get_origin(union) is Annotated else union
    return list(get_args(inner)) or [inner]


def kind_of(member: Any) -> str:
    """Returns the kind that a YAML names the member by."""
    kind: str = get_args(member.model_fields["kind"].annotation)[0]
    return kind


def from_defaults(member: Any) -> Any:
    """Returns the spec that a YAML with nothing but the kind describes."""
    return member(kind=kind_of(member))


def sensors(rows: int, features: int = 6, seed: int = 0, boundaries: tuple[int, ...] = ()) -> Series:
    """Returns rows of sensors that share two waves, with a little noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(rows)[:, None]
    waves = np.hstack([np.sin(time / 3), np.cos(time / 5)])
    values = waves @ generator.normal(size=(2, features)) + 0.1 * generator.normal(size=(rows, features))
    return Series(values.astype(np.float32), tuple(f"s{place}" for place in range(features)), boundaries=boundaries)


def built(spec: Any, series: Series, length: int, seed: int = 0) -> Model:
    """Returns the model of a spec: a closed form fitted to the rows, a network as it was drawn; in evaluation mode."""
    with seeded(seed):
        model: Model = spec.build(len(series.features), length)
        if isinstance(model, ClosedFormModel):
            model.fit(cut(series, length))
    return model.eval()


def detector_of(spec: Any, series: Series, length: int, scoring: ScoringSpec) -> Detector:
    """Returns a detector whose parts are all fitted to the same rows."""
    scaler = StandardScalerSpec().fit(series)
    model = built(spec, scaler.apply(series), length)
    scorer = Scorer.fit(scaler, length, (spec, model), scoring, series)
    return Detector(scorer, PercentileSpec(percentile=90).fit(scorer.score(series).values))


def event_table(events: Events, *rows: Any) -> pd.DataFrame:
    """Returns the stretches of rows that come all at once."""
    found = [events.take(*rows), events.close()]
    return pd.concat([table for table in found if len(table)] or found[:1], ignore_index=True)


def seated(model: Model, objective: ObjectiveSpec, features: int = 6) -> list[Trainable]:
    """Returns the trainables of an objective that learns nothing from rows beforehand."""
    return trainables(
        model, objective, TrainingContext(torch.from_numpy(sensors(50, features).values), torch.Generator())
    )


def unscaled(features: int) -> Scaler:
    """Returns the scaler that changes nothing."""
    return Scaler(np.zeros(features), np.ones(features), clip=None)


class FirstRow(Model):
    """Predicts each of the last `steps` rows of a window by its first row: errors can be worked out by hand."""

    def forward(self, windows: torch.Tensor) -> Prediction:
        return Prediction(windows[:, :1].expand(-1, self.steps, -1))
