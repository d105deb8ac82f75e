"""Configs: what a detector learns and how, and on which rows; a YAML file in `experiments/` holds one."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tsad.data import DataSpec
from tsad.data.scale import ScalerSpec, StandardScalerSpec
from tsad.data.split import SplitSpec
from tsad.detector.scoring import ScoringSpec, lookback
from tsad.models import ModelSpec
from tsad.provenance import Provenance
from tsad.spec import Spec
from tsad.thresholds import ThresholdSpec
from tsad.thresholds.percentile import PercentileSpec
from tsad.training.loop import TrainingSpec
from tsad.training.objective import ObjectiveSpec
from tsad.windows import WindowSpec

AVERAGE = "average"
"""Family of a detector that averages members."""


class _Sections(Spec):
    """Sections that decide what one scorer learns from given rows."""

    scaler: ScalerSpec = StandardScalerSpec()
    window: WindowSpec = WindowSpec()
    model: ModelSpec | None = None
    objective: ObjectiveSpec = ObjectiveSpec()
    training: TrainingSpec = TrainingSpec()
    scoring: ScoringSpec = ScoringSpec()


class MemberSpec(_Sections):
    """A member of an average: one scorer with its weight.

    Attributes:
        weight: Weight of the member's surprisal relative to the weights of the others.
        scaler: Scaler that is fitted on the fit rows.
        window: How rows are cut into windows.
        model: Model that predicts windows.
        objective: Loss that training minimizes; closed-form models do not use it.
        training: How long and how fast the model is trained; closed-form models do not use it.
        scoring: Rule by which errors become scores.
    """

    model: ModelSpec
    weight: float = Field(1.0, gt=0)

    @property
    def lookback(self) -> int:
        """Number of rows that a segment must have before its first scored row."""
        return lookback(self.scoring, self.window.length)


class DetectorSpec(_Sections):
    """Everything that decides what a detector learns from given rows: one model, or the members of an average.

    Attributes:
        seed: Seed of initial weights, shuffles, masks and dropout; the members of an average share it.
        scaler: Scaler that is fitted on the fit rows.
        window: How rows are cut into windows.
        model: Model that predicts windows.
        objective: Loss that training minimizes; closed-form models do not use it.
        training: How long and how fast the model is trained; closed-form models do not use it.
        scoring: Rule by which errors become scores.
        members: Members of an average, two or more, each with the six sections above, which then have no place beside them.
            The score is the weighted mean of the members' surprisals.
        threshold: Rule by which scores become flags.
    """

    seed: int = Field(0, ge=0)
    members: tuple[MemberSpec, ...] = ()
    threshold: ThresholdSpec = PercentileSpec()

    @model_validator(mode="after")
    def _check_members(self) -> "DetectorSpec":
        own = [name for name in _Sections.model_fields if name in self.model_fields_set]
        if not self.members and self.model is None:
            raise ValueError("a detector needs a model, or members to average, but has neither; add model: {kind: ...}")
        if self.members and own:
            raise ValueError(
                f"an average has its sections in its members, but got {', '.join(own)} beside members; move them into each"
            )
        if len(self.members) == 1:
            raise ValueError("an average needs two or more members, but got 1; write its sections without members")
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        unused = _Sections.model_fields.keys() if self.members else {"members"}
        seed = {"seed": values.pop("seed")} if "seed" in values else {}
        return seed | {name: value for name, value in values.items() if name not in unused}

    @property
    def scorers(self) -> tuple[MemberSpec, ...]:
        """The members; of one model, that alone."""
        if self.model is None:
            return self.members
        sections = {name: getattr(self, name) for name in _Sections.model_fields}
        return (MemberSpec.model_construct(weight=1.0, **sections),)

    @property
    def family(self) -> str:
        """Kind of the model, or `average`."""
        return AVERAGE if self.model is None else self.model.kind

    @property
    def lookback(self) -> int:
        """Number of rows that a segment must have before its first scored row."""
        return max(scorer.lookback for scorer in self.scorers)

    @property
    def epochs(self) -> int:
        """Largest number of epochs of a member."""
        return max(scorer.training.epochs for scorer in self.scorers)

    @property
    def reads_labels(self) -> bool:
        """Whether an objective reads the labels of the selection rows."""
        return any(scorer.objective.reads_labels for scorer in self.scorers)


def with_cut(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a config with `split.at`, the place where test rows begin, as the setting `test_from` of its data."""
    split = values.get("split")
    if not isinstance(split, Mapping) or "at" not in split or not isinstance(values.get("data"), Mapping):
        return dict(values)
    rest = {name: value for name, value in split.items() if name != "at"}
    return {**values, "split": rest, "data": {**values["data"], "test_from": split["at"]}}


class ExperimentConfig(DetectorSpec):
    """Config of an experiment: a detector, the rows that it is fitted on, and the rows that it is evaluated on.

    A YAML file in `experiments/` holds one. Equal configs on equal data give equal results on a CPU.

    Attributes:
        data: Data set of the experiment.
        split: Times at which the data are cut into parts.
    """

    data: DataSpec
    split: SplitSpec = SplitSpec()

    @property
    def provenance(self) -> Provenance:
        """Rows whose labels the training and the threshold will use."""
        return Provenance(
            training="development" if self.reads_labels or self.split.reads_labels else "nothing",
            threshold="test" if self.threshold.reads_labels else "nothing",
        )
