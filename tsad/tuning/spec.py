"""A search: a template of experiments, and the settings of how it is explored."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tsad.config import with_cut
from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec
from tsad.errors import SpecError
from tsad.lengths import AUTO, PLACEHOLDER, filled, lengths, reach
from tsad.provenance import code_version
from tsad.selection.comparison import GateSpec
from tsad.selection.ensemble import EnsembleSpec
from tsad.selection.objective import LabelFreeSpec, MaximizeSpec
from tsad.selection.trial import DEFAULT, Candidate
from tsad.spec import Spec, parse, put, read_yaml
from tsad.tuning.algorithms import AlgorithmSpec
from tsad.tuning.algorithms.contract import check_space
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.grid import GridSpec, combinations
from tsad.tuning.algorithms.map_elites import MapElitesSpec
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.anchors import AnchorSet, anchors
from tsad.tuning.pbt import changeable
from tsad.tuning.space import Space


class AshaSpec(Spec):
    """Asynchronous successive halving (Li et al., arXiv 1810.05934): trials that fall behind at a rung are stopped there.

    Attributes:
        grace: Epoch of the first rung.
        reduction: Factor from one rung to the next; at each rung the best 1 / reduction of the trials that reached it continue.
    """

    grace: int = Field(1, ge=1)
    reduction: int = Field(3, ge=2)

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Returns the epochs before the last at which a trial may be stopped, ascending."""
        rungs, rung = [], self.grace
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction
        return tuple(rungs)


class PbtSpec(Spec):
    """Population based training (Jaderberg et al., arXiv 1711.09846): the worst trials continue from the best, with changes.

    All trials form one population. Every few epochs a trial is compared with the last values of those that have not ended.
    If it is among the worst, it takes over the whole training of one of the best: experiment, weights, moments of the
    optimizer, losses and random generators. Then some of the hyperparameters under `training` change (`tsad.tuning.pbt`);
    only those can change in mid-training, and `epochs` and `patience` cannot. No trial waits for another, so the choice of
    donors depends on which trial reports first; Ray draws the donor.

    The result of a trial is therefore a schedule. `schedule.json` among its files holds the schedule; its `experiment.yaml`
    and its row in tables are those of the last segment, the parameters of its run are those that it started with, and
    `cost/seconds` is that of the last segment. In a resumed search, trials that had not ended start again from epoch 0, as a
    population of their own.

    Departures from the paper: the compared value is that of the best weights so far, which the detector would have, not
    that of the current ones. A changed number moves as mutation moves it, not by a factor of 0.8 or 1.2. On a cluster, members
    run wherever there is room: `parallel` limits those on a single machine only.

    Attributes:
        every: Number of epochs between two comparisons; a trial that trains no longer than this copies no other.
        fraction: Fraction of the population that copies, and of those that are copied; at least one trial each.
    """

    every: int = Field(ge=1)
    fraction: float = Field(0.25, gt=0, le=0.5)

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Returns the epochs before the last at which trials are compared, ascending."""
        return tuple(range(self.every, epochs, self.every))


class SearchSpec(Spec):
    """Settings of a search: the section `search` of a search space file.

    Attributes:
        trials: Largest number of candidates to try; null tries all of them, which only the grid can count.
        seconds: Time limit in seconds, whatever has been tried by then; null for no limit.
        parallel: Number of trials that run at the same time.
        cpus: Number of CPU cores, and of threads, of one trial.
        gpus: Number of GPUs of one trial; fractions are allowed.
        retries: Number of times that a trial is tried again, from its last checkpoint, after its worker or node was lost or Ray's
            memory monitor killed it. Only then does it count as failed. An error of the trial itself is not tried again.
        trial_seconds: Time limit of one trial in seconds; a trial that takes longer is stopped at its next epoch or batch of
            windows, with this as its reason, and has the value of its last rung. Null for no limit.
        seed: Seed of the search algorithm.
        pbt: Settings of population based training, which makes the trials one population that trains its schedules; null
            trains each candidate on its own.
        algorithm: Search algorithm that chooses what to try; the default is `map_elites`, or random with `pbt`.
        anchors: Experiments that are tried first, at most half of the trials: `default`, the detector to beat (not with
            `validation_error`, which an average does not have); `members`, each of its members alone; `families`, closed
            forms of other families; or sections of an experiment, with `auto` for numbers that follow from the rows. None
            with `pbt`. `split.gap` and `maximize.edge` grow to what they need; with `split.gap: auto` also to what the longest
            score of the space needs.
        champion: Rule by which the champion is chosen. `evidence`: it is the default detector, or an average of that and
            the best trial if labels show that it is better (`tsad.selection.evidence`). `best`: the trial with the largest
            value, or the ensemble; this is the rule too if there is no default among the anchors.
        memory: Whether labeled trials of earlier searches on other rows with the same columns count as evidence: `auto` for
            all searches of the store, `none`, or the name of an MLflow experiment.
        maximize: Objective that the search maximizes.
        minimize: Costs that are minimized as well, by search algorithms that can look for trials that no other beats in all
            of them. The report lists these trials; the champion is the one with the largest value.
        asha: Settings of early stopping; null trains all trials to their end, which is the default with `pbt`.
        ensemble: Which of the best trials form an ensemble that competes with them; null for no ensemble.
        reuse: Whether finished trials of earlier searches are taken from the store instead of being trained again. Only trials of
            equal experiment, data, objective and code are reused, and none with `pbt`, because the result of a member
            depends on the others.
        registered: Name of the registered model that the winner becomes the next version of; null registers nothing, and the
            files of the winner and its run remain. The key in YAML is `register`.
        gate: Comparison that the winner must pass to become champion of the registered model.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    trials: int | None = Field(16, ge=1)
    seconds: float | None = Field(None, gt=0)
    parallel: int = Field(2, ge=1)
    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    retries: int = Field(2, ge=0)
    trial_seconds: float | None = Field(None, gt=0)
    seed: int = Field(0, ge=0)
    pbt: PbtSpec | None = None
    algorithm: AlgorithmSpec = Field(
        default_factory=lambda values: (
            RandomSpec(kind="random") if values.get("pbt") else MapElitesSpec(kind="map_elites")
        )
    )
    anchors: tuple[AnchorSet | dict[str, Any], ...] = Field(
        default_factory=lambda values: () if values.get("pbt") else ("default", "members", "families")
    )
    champion: Literal["evidence", "best"] = "evidence"
    memory: str = "auto"
    maximize: MaximizeSpec = LabelFreeSpec(kind="label_free")
    minimize: tuple[Literal["cost/parameters", "cost/latency"], ...] = ()
    asha: AshaSpec | None = Field(default_factory=lambda values: None if values.get("pbt") else AshaSpec())
    ensemble: EnsembleSpec | None = EnsembleSpec()
    reuse: bool = Field(default_factory=lambda values: values.get("pbt") is None)
    registered: str | None = Field("tsad", alias="register", pattern=r"^[\w.-]+$")
    gate: GateSpec = GateSpec()

    @model_validator(mode="after")
    def _resolve_budget(self) -> "SearchSpec":
        if isinstance(self.algorithm, EvolutionSpec) and self.algorithm.budget == "auto":
            budget = "trials" if self.seconds is None else "seconds"
            object.__setattr__(self, "algorithm", self.algorithm.model_copy(update={"budget": budget}))
        return self

    @model_validator(mode="after")
    def _check_trials(self) -> "SearchSpec":
        if self.trials is None and not isinstance(self.algorithm, GridSpec):
            raise ValueError(
                f"trials must be a number unless the algorithm is grid, but got trials=null and {self.algorithm.kind}; "
                f"set trials: 16, or algorithm: {{kind: grid}}"
            )
        return self

    @model_validator(mode="after")
    def _check_population(self) -> "SearchSpec":
        if self.pbt is None:
            return self
        if self.asha is not None:
            raise ValueError(
                "pbt and asha exclude each other, because no member of a population is stopped; set asha: null"
            )
        if self.anchors:
            raise ValueError("pbt has a population of its own space and no anchors; set anchors: []")
        if self.reuse:
            raise ValueError("pbt takes no trial of another search into its population; set reuse: false")
        if self.trials is not None and self.trials < 2:
            raise ValueError(f"pbt needs a population of 2 or more, but got trials={self.trials}; set trials: 8")
        algorithm = self.algorithm
        all_at_once = isinstance(algorithm, EvolutionSpec) and algorithm.population >= (self.trials or 0)
        if not (all_at_once or isinstance(algorithm, RandomSpec | GridSpec)):
            raise ValueError(
                f"pbt needs all candidates at once, but the algorithm {algorithm.kind} waits for results; take random, grid, "
                f"or evolution with a population of trials={self.trials} or more"
            )
        return self


class _DataOnly(Spec):
    data: DataSpec


@dataclass(frozen=True, eq=False)
class SearchConfig:
    """A checked search: the content of a search space file. Made by `read_search` and `parse_search`.

    Attributes:
        name: Name of the search, such as the stem of its file.
        spec: Settings of how the space is explored.
        space: Search space that is explored.
        data: Data of all candidates; the data section holds no hyperparameters.
        trials: Largest number of candidates that will be tried, anchors included.
        values: Plain values that the search was parsed from, with `auto` in place of numbers that follow from the rows.
        anchors: Candidates that are tried first; empty until the rows are known.
    """

    name: str
    spec: SearchSpec
    space: Space
    data: DataSpec
    trials: int
    values: Mapping[str, Any] = field(default_factory=dict)
    anchors: tuple[Candidate, ...] = ()

    def on(self, data: DataSet) -> "SearchConfig":
        """Returns the search on a data set: with its numbers in place of `auto`, and its anchors.

        Raises:
            SpecError: if the sections of an anchor make no valid experiment.
        """
        template = {name: section for name, section in self.values.items() if name != "search"}
        values = filled(template, lengths(data))
        limit = max(1, (self.trials + 1) // 2) if self.spec.trials is not None else self.trials
        sets = [item for item in self.spec.anchors if item != DEFAULT or self.spec.maximize.kind != "validation_error"]
        candidates, rows = anchors(sets, values, data, limit)
        if self.values.get("split", {}).get("gap") == AUTO:
            rows = max(rows, reach(values))
        changes: dict[str, Any] = {}
        if rows > values.get("split", {}).get("gap", SplitSpec().gap):
            changes["split.gap"] = rows
        if isinstance(self.spec.maximize, LabelFreeSpec) and rows - 1 > self.spec.maximize.edge:
            changes |= {"search.maximize.kind": "label_free", "search.maximize.edge": rows - 1}
        values["search"] = self.values.get("search", {})
        config = parse_search(put(values, changes), self.name, self.name)
        counted = self.trials if self.spec.trials is not None else self.trials + len(candidates)
        return replace(config, anchors=candidates, trials=counted)

    def result_fingerprint(self, data: DataSet) -> str:
        """Returns a hash of all that decides the result of a trial except its experiment: data, objective, code, population."""
        population = () if self.spec.pbt is None else (self.spec.pbt.model_dump(mode="json"),)
        return _hash(data.digest, self.spec.maximize.model_dump(mode="json"), code_version(), *population)

    def search_fingerprint(self, data: DataSet) -> str:
        """Returns a hash of all that decides which candidates are tried in which order; limits and cores do not enter it."""
        exploring = self.spec.model_dump(mode="json", include={"seed", "algorithm", "asha", "minimize"})
        first = [candidate.config_fingerprint for candidate in self.anchors]
        return _hash(self.result_fingerprint(data), exploring, self.space.template, *([first] if first else []))


def _hash(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def read_search(path: Path, overrides: Mapping[str, Any]) -> SearchConfig:
    """Returns the search that a YAML file describes, after `overrides` such as `{"search.trials": 8}` are applied.

    Raises:
        SpecError: if the file cannot be read, or `parse_search` refuses its values.
    """
    return parse_search(put(read_yaml(path), overrides), path.stem, str(path))


def parse_search(values: Mapping[str, Any], name: str, source: str) -> SearchConfig:
    """Returns the search that plain values describe, as a search space file holds them.

    Args:
        values: A template of experiments with a section `search`.
        name: Name of the search.
        source: Where the values come from; error messages begin with it.

    Raises:
        SpecError: if a value is not valid, or a random sample of the candidates contains an invalid experiment.

    Example:
        >>> values = {"data": {"kind": "synthetic"}, "model": {"kind": "l2"}, "window": {"length": {"choice": [4, 8]}}}
        >>> search = parse_search(values, "lengths", "a test")
        >>> list(search.space.params), search.spec.algorithm.kind
        (['window.length'], 'map_elites')
    """
    template = with_cut({name: section for name, section in values.items() if name != "search"})
    template = filled(template, PLACEHOLDER)
    spec = parse(SearchSpec, values.get("search", {}), f"{source}: search")
    if "data" not in template:
        raise SpecError(f"{source}: data: field required")
    data = parse(_DataOnly, {"data": template["data"]}, source).data
    try:
        space = Space(template)
        _check_split(space)
        check_space(space)
        if spec.pbt is not None:
            _check_changeable(space)
    except SpecError as error:
        raise SpecError(f"{source}: {error}") from None
    counted = isinstance(spec.algorithm, GridSpec)  # up to the limit only: a grid may have millions
    trials = sum(1 for _ in islice(combinations(space, {}), spec.trials)) if counted else spec.trials
    return SearchConfig(name, spec, space, data, trials or 1, values)


def _check_split(space: Space) -> None:
    inside = [address for address in space.params if re.split(r"[.:]", address)[0] == "split"]
    if inside:
        raise SpecError(
            f"split must be the same for all candidates, which are compared and reported on the same rows, but {inside[0]} is "
            f"a hyperparameter; give it one value"
        )


def _check_changeable(space: Space) -> None:
    if not changeable(space):
        raise SpecError(
            f"search.pbt needs a hyperparameter of two values or more under training, other than epochs and patience, but the "
            f"hyperparameters are {', '.join(space.params)}; make training.learning_rate one, for example"
        )
