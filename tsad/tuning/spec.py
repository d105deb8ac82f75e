"""A search: a template of experiments, and how it is to be explored."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.errors import SpecError
from tsad.provenance import code_version
from tsad.selection.comparison import GateSpec
from tsad.selection.ensemble import EnsembleSpec
from tsad.selection.objective import LabelFreeSpec, MaximizeSpec
from tsad.spec import Spec, parse, put, read_yaml
from tsad.tuning.algorithms import AlgorithmSpec
from tsad.tuning.algorithms.contract import check_space
from tsad.tuning.algorithms.evolution import EvolutionSpec
from tsad.tuning.algorithms.grid import GridSpec, combinations
from tsad.tuning.algorithms.random import RandomSpec
from tsad.tuning.pbt import changeable
from tsad.tuning.space import Space


class AshaSpec(Spec):
    """Asynchronous successive halving (Li et al., arXiv 1810.05934): trials behind at a rung are stopped there.

    Attributes:
        grace: Epoch of the first rung.
        reduction: Factor from rung to rung; at each, the best 1 / reduction of those that reached it go on.
    """

    grace: int = Field(1, ge=1)
    reduction: int = Field(3, ge=2)

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Returns the epochs before the last at which a trial may be stopped, ascending."""
        found, rung = [], self.grace
        while rung < epochs:
            found.append(rung)
            rung *= self.reduction
        return tuple(found)


class PbtSpec(Spec):
    """Population based training (Jaderberg et al., arXiv 1711.09846): the worst copy the best, and go on with a change.

    All trials are one population. Every few epochs a trial is compared with the last values of those that have not ended.
    Among the worst it takes over the whole training of one of the best: its experiment, weights, optimizer's moments, losses
    and generators; then some of the hyperparameters under `training` change (`tsad.tuning.pbt`). Only those can in
    mid-training, `epochs` and `patience` cannot. Nobody waits, so who copies whom depends on who is first; Ray draws the donor.

    So a trial comes to a schedule, not to a candidate. `schedule.json` among its files holds it; its `experiment.yaml` and
    its line in tables are those of the last leg, the parameters of its run those that it began with, and `cost/seconds` is
    that of the last leg. After a kill, trials that had not ended begin anew from epoch 0, as a population of their own.

    Departures: the value compared is that of the best weights so far, which the detector would have, not of the current.
    A changed number moves as mutation moves it, not by a factor of 0.8 or 1.2. On a cluster, members run wherever there is
    room: `parallel` limits those on one machine alone.

    Attributes:
        every: Epochs between two comparisons; a trial that trains no longer than this copies nobody.
        share: Of the population that copies, and of those that are copied; one at least.
    """

    every: int = Field(ge=1)
    share: float = Field(0.25, gt=0, le=0.5)

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Returns the epochs before the last at which trials are compared, ascending."""
        return tuple(range(self.every, epochs, self.every))


class SearchSpec(Spec):
    """How a space is explored: the section `search` of a search space.

    Attributes:
        trials: Candidates to try, at most; None for all of them, which only the grid can count.
        seconds: End after this long, whatever has been tried; None for no limit.
        parallel: Trials that run side by side.
        cpus: Cores, and threads, of a trial.
        gpus: GPUs of a trial, fractions too.
        seed: of the search algorithm.
        pbt: Makes the trials one population that trains its schedules; None trains each candidate on its own.
        search algorithm: Chooses what to try; with `pbt`, random if not given.
        maximize: What is made large.
        minimize: Costs that are made small beside it; search algorithms that can look for trials that no other beats in all of
            them, the report names those, and the champion is the one with the largest value.
        asha: Stops trials that fall behind; None lets all run to their end, and so does `pbt` if it is not given.
        ensemble: Which of the best trials make an ensemble that competes with them; None for no ensemble.
        reuse: Take finished trials of earlier searches instead of training the same once more; only those of equal
            experiment, data, objective and code are, and none with `pbt`, since what becomes of a member depends on the
            others.
        registered: Model in the registry that the winner becomes the next version of; None registers nothing, the files of
            the winner and its run stay. In YAML it is `register`, a name that classes have taken.
        gate: What the winner is asked before it becomes champion of that model.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    trials: int | None = Field(16, ge=1)
    seconds: float | None = Field(None, gt=0)
    parallel: int = Field(2, ge=1)
    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    pbt: PbtSpec | None = None
    algorithm: AlgorithmSpec = Field(
        default_factory=lambda given: RandomSpec(kind="random") if given.get("pbt") else EvolutionSpec()
    )
    maximize: MaximizeSpec = LabelFreeSpec(kind="label_free")
    minimize: tuple[Literal["cost/parameters", "cost/latency"], ...] = ()
    asha: AshaSpec | None = Field(default_factory=lambda given: None if given.get("pbt") else AshaSpec())
    ensemble: EnsembleSpec | None = EnsembleSpec()
    reuse: bool = Field(default_factory=lambda given: given.get("pbt") is None)
    registered: str | None = Field("tsad", alias="register", pattern=r"^[\w.-]+$")
    gate: GateSpec = GateSpec()

    @model_validator(mode="after")
    def _short_of(self) -> "SearchSpec":
        if isinstance(self.algorithm, EvolutionSpec) and self.algorithm.saves == "auto":
            saves = "trials" if self.seconds is None else "seconds"
            object.__setattr__(self, "algorithm", self.algorithm.model_copy(update={"saves": saves}))
        return self

    @model_validator(mode="after")
    def _finite(self) -> "SearchSpec":
        if self.trials is None and not isinstance(self.algorithm, GridSpec):
            raise ValueError(
                f"trials must be a number for the algorithm {self.algorithm.kind}; only grid has an end of its own"
            )
        return self

    @model_validator(mode="after")
    def _one_population(self) -> "SearchSpec":
        if self.pbt is None:
            return self
        if self.asha is not None:
            raise ValueError("pbt and asha exclude each other, since none of a population is stopped; set asha: null")
        if self.reuse:
            raise ValueError("pbt takes no trial of another search into its population; set reuse: false")
        if self.trials is not None and self.trials < 2:
            raise ValueError(f"pbt needs a population of 2 or more, but got trials={self.trials}; set trials: 8")
        algorithm = self.algorithm
        at_once = isinstance(algorithm, EvolutionSpec) and algorithm.population >= (self.trials or 0)
        if not (at_once or isinstance(algorithm, RandomSpec | GridSpec)):
            raise ValueError(
                f"pbt needs all trials at once, but the algorithm {algorithm.kind} waits for the first to end; take random, "
                f"grid, or evolution with a population of trials={self.trials} or more"
            )
        return self


class _DataOnly(Spec):
    data: DataSpec


@dataclass(frozen=True, eq=False)
class Search:
    """A checked search.

    Attributes:
        name: Of the file it came from.
        spec: How to explore.
        space: What to explore.
        data: The rows; the same for all candidates, so hyperparameters cannot touch them.
        trials: How many candidates will be tried, unless time runs out before.
    """

    name: str
    spec: SearchSpec
    space: Space
    data: DataSpec
    trials: int

    def result_fingerprint(self, data: DataSet) -> str:
        """Returns a hash of all that decides the result of a trial except its experiment: data, objective, code, population."""
        population = () if self.spec.pbt is None else (self.spec.pbt.model_dump(mode="json"),)
        return _hash(data.digest, self.spec.maximize.model_dump(mode="json"), code_version(), *population)

    def search_fingerprint(self, data: DataSet) -> str:
        """Returns a hash of all that decides which candidates are tried in which order; limits and cores do not enter it."""
        exploring = self.spec.model_dump(mode="json", include={"seed", "algorithm", "asha", "minimize"})
        return _hash(self.result_fingerprint(data), exploring, self.space.template)


def _hash(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def read_search(path: Path, changes: Mapping[str, Any]) -> Search:
    """Returns the search that a YAML file describes, after putting `changes` at their paths.

    Raises:
        SpecError: if anything in it is not as it should be, a random sample of its candidates included.
    """
    values = put(read_yaml(path), changes)
    spec = parse(SearchSpec, values.pop("search", {}), f"{path}: search")
    if "data" not in values:
        raise SpecError(f"{path}: data: field required")
    data = parse(_DataOnly, {"data": values["data"]}, str(path)).data
    try:
        space = Space(values)
        _check_rows(space)
        check_space(space)
        if spec.pbt is not None:
            _check_population(space)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    counts = isinstance(spec.algorithm, GridSpec)  # no further than it has to: a grid may have millions
    count = sum(1 for _ in islice(combinations(space, {}), spec.trials)) if counts else spec.trials
    return Search(path.stem, spec, space, data, count or 1)


def _check_rows(space: Space) -> None:
    found = [address for address in space.params if re.split(r"[.:]", address)[0] == "split"]
    if found:
        raise SpecError(
            f"split must be the same for all candidates, which are judged and reported on the same rows, but {found[0]} is "
            f"a hyperparameter; give it one value"
        )


def _check_population(space: Space) -> None:
    if not changeable(space):
        raise SpecError(
            f"search.pbt needs a hyperparameter of two values or more under training, other than epochs and patience, but the hyperparameters "
            f"are {', '.join(space.params)}; make training.learning_rate one, for example"
        )
