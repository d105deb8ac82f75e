"""Promotion: a version becomes champion, or the champion before it becomes champion again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from tsad.assessment.assessment import beats_sentence
from tsad.data.dataset import DataSet
from tsad.data.entities import EntityRows, entities_of
from tsad.errors import DetectorError, SpecError
from tsad.fleet import Fleet
from tsad.registry.aliases import CHAMPION, champion, undo
from tsad.registry.fleet_gate import EntityInputs, decide_fleet
from tsad.registry.gate import Decision, GateInputs, apply, decide
from tsad.registry.load import load_judge
from tsad.registry.register import (
    MODEL,
    beats_baselines,
    copy_version,
    is_of_run,
    register_fleet,
    register_run,
    resolve,
)
from tsad.selection.comparison import GateSpec
from tsad.selection.objective import LabelFreeSpec
from tsad.spec import parse
from tsad.tracking.runs import leading_run
from tsad.tracking.store import open_store
from tsad.tracking.tags import Tag
from tsad.workflows.context import Context, open_context, read_settings
from tsad.workflows.inputs import NO_OVERRIDES, ConfigSource, ExperimentValues, Rows, RowSource, read_values
from tsad.workflows.printing import html_table, lines


@dataclass(frozen=True)
class PromotionResult:
    """Result of a promotion. `str()` is what the command line prints.

    Attributes:
        name: Name of the registered model.
        champion: Version that is champion now; None if there is none.
        text: What happened, in one or two sentences.
        decision: Decision of the gate; None if nothing was decided.
        run_id: MLflow run that records the decision; None if nothing was decided.
    """

    name: str
    champion: str | None
    text: str
    decision: Decision | None = None
    run_id: str | None = None

    def __str__(self) -> str:
        uri = f"models:/{self.name}@{CHAMPION}  (version {self.champion})"
        return f"{self.text}\n{lines({'champion': uri})}"

    def _repr_html_(self) -> str:
        return html_table(f"models:/{self.name}", {} if self.decision is None else self.decision.metrics, str(self))


def promote(
    model: str,
    experiment: ConfigSource | None = None,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    *,
    data: RowSource | None = None,
    test: RowSource | None = None,
    label: str | None = None,
    time: str | None = None,
    metric: str | None = None,
    margin: float | None = None,
    force: bool = False,
    name: str = MODEL,
    into: str | None = None,
) -> PromotionResult:
    """Makes a detector or fleet champion if it beats the current champion on the rows of an experiment.

    Of a fleet, the detector of each entity is compared on its own rows, and the mean over entities decides. The decision is
    logged as an MLflow run, and to the version. `undo_promotion` reverts it.

    Args:
        model: `models:/NAME/VERSION`, `models:/NAME@alias`, or the detector of a run, such as `runs:/RUN_ID/detector` of
            `tsad.train` or `runs:/RUN_ID/fleet`, which is registered first as the next version of `name`, once.
        experiment: Experiment whose data and split the two are compared on: path, values or config; None only with `force`.
        overrides: Values by path in the experiment.
        data: Rows that replace the `data` section of the experiment.
        test: Test rows.
        label: Name of the column of labels.
        time: Name of the column of times.
        metric: Metric of the comparison on labeled rows, by default `ranking/pr_auc`.
        margin: Difference by which the version must exceed the champion, by default 0.02.
        force: Promote without a comparison.
        name: Name of the registered model that the detector of a run becomes a version of.
        into: Name of another registered model, whose champion the version must beat. It is copied there first; the
            candidates that searches of a service register become champions this way.

    Raises:
        DetectorError: if there is no such version or run, or `into` has no champion.
        SpecError: if neither or both of `experiment` and `force` are given, or the experiment is not valid.
        TsadError: if the two cannot be compared on these rows.
    """
    if force == (experiment is not None):
        raise SpecError("a promotion needs an experiment to compare on, or force=True without one; pass one of the two")
    context = open_context()
    values = None
    if experiment is not None:
        values = read_values(experiment, overrides, Rows(data, test, label, time).section(context.settings))
    rules = {key: value for key, value in (("metric", metric), ("margin", margin)) if value is not None}
    compared = None if values is None else _Compared(context, values, parse(GateSpec, rules, "gate"))
    store = context.store
    is_fleet = context.fleet(model) is not None
    whole = None if compared is None or is_fleet else compared.whole  # read before anything is registered
    if is_of_run(model):
        rows = None if whole is None else whole.data.test
        version = register_fleet(model, name) if is_fleet else register_run(model, name, rows)
    else:
        name, version = resolve(model)
    if into is not None and into != name:
        name, version = into, _copied(name, version, into)
    if champion(name) == version:
        return PromotionResult(name, version, f"version {version} is champion already")
    with leading_run(store, f"promote-{name}-{version}", {Tag.KIND: "promote"}) as writer:
        decision = _decide(name, version, compared)
        folder = context.settings.output_dir / "promote" / writer.run_id
        folder.mkdir(parents=True)
        apply(name, version, decision, writer, folder)
    return PromotionResult(name, champion(name), decision.text, decision, writer.run_id)


def _copied(name: str, version: str, target: str) -> str:
    """Returns the version of `target` that is a copy of a version of `name`, which may have been made before."""
    if champion(target) is None:
        raise DetectorError(
            f"models:/{target} must have a champion to compare with, but has none; make one first: "
            f"tsad promote models:/{target}/VERSION --force"
        )
    return copy_version(name, version, target)


@dataclass(frozen=True, eq=False)
class _Compared:
    """The experiment whose rows a version and the champion are compared on."""

    context: Context
    values: ExperimentValues
    gate: GateSpec

    @cached_property
    def whole(self) -> GateInputs:
        """Rules of a comparison on all rows."""
        return self.inputs(self.context.load_data(self.values.config().data))

    def inputs(self, data: DataSet) -> GateInputs:
        """Returns the rules of a comparison on some of the rows."""
        return GateInputs(data, self.values.on(data).split, self.gate, LabelFreeSpec(kind="label_free"))

    def entities(self) -> EntityInputs:
        """Returns the rules of the comparison of each entity."""
        spec = self.values.config().data
        entities = entities_of(spec, self.context.load_data, self.context.settings.data_dir)
        return {name: partial(self._of_entity, read) for name, read in entities.items()}

    def _of_entity(self, read: Callable[[], EntityRows]) -> GateInputs:
        return self.inputs(read().data)


def _decide(name: str, version: str, compared: _Compared | None) -> Decision:
    """Returns the decision about a version; without rows to compare on it is promoted without a comparison."""
    current = champion(name)
    if compared is None:
        what = "becomes champion" if current is None else f"replaces version {current}"
        return Decision("forced", f"Version {version} {what} without a comparison.")
    judge = load_judge(f"models:/{name}/{version}")
    if isinstance(judge, Fleet):
        decision = decide_fleet(name, version, judge, compared.entities())
    else:
        decision = decide(name, version, judge, compared.whole)
    if decision.outcome != "first":
        return decision
    return replace(decision, text=f"{decision.text} {beats_sentence(beats_baselines(name, version))}")


def undo_promotion(name: str = MODEL) -> PromotionResult:
    """Makes the champion before the current one champion again; each call goes one further back.

    Args:
        name: Name of the registered model.

    Raises:
        DetectorError: if there is no champion, or none before it.
    """
    open_store(read_settings().tracking_uri)
    before, now = undo(name)
    text = f"version {now} is champion again, as before version {before}; tsad promote brings that back"
    return PromotionResult(name, now, text)
