"""A search: a template of experiments, and how it is to be explored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.errors import SpecError
from tsad.search.designers import DesignerSpec
from tsad.search.designers.contract import check_space
from tsad.search.designers.evolution import EvolutionSpec
from tsad.search.designers.grid import GridSpec, combinations
from tsad.search.ensemble import EnsembleSpec
from tsad.search.objective import LabelFreeSpec, MaximiseSpec
from tsad.search.space import Space
from tsad.spec import Spec, parse, put, read_yaml
from tsad.version import code_version


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


class SearchSpec(Spec):
    """How a space is explored: the section `search` of a search space.

    Attributes:
        trials: Candidates to try, at most; None for all of them, which only the grid can count.
        seconds: End after this long, whatever has been tried; None for no limit.
        parallel: Trials that run side by side.
        cpus: Cores, and threads, of a trial.
        gpus: GPUs of a trial, fractions too.
        seed: Of the designer.
        designer: Chooses what to try.
        maximise: What is made large.
        minimise: Costs that are made small beside it; designers that can look for trials that no other beats in all of
            them, the report names those, and the champion is the one with the largest value.
        asha: Stops trials that fall behind; None lets all run to their end.
        ensemble: Which of the best trials make an ensemble that competes with them; None for no ensemble.
        reuse: Take finished trials of earlier searches instead of training the same once more; only those of equal
            experiment, data, objective and code are.
    """

    trials: int | None = Field(16, ge=1)
    seconds: float | None = Field(None, gt=0)
    parallel: int = Field(2, ge=1)
    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    designer: DesignerSpec = EvolutionSpec()
    maximise: MaximiseSpec = LabelFreeSpec(kind="label_free")
    minimise: tuple[Literal["cost/parameters", "cost/latency"], ...] = ()
    asha: AshaSpec | None = AshaSpec()
    ensemble: EnsembleSpec | None = EnsembleSpec()
    reuse: bool = True

    @model_validator(mode="after")
    def _finite(self) -> "SearchSpec":
        if self.trials is None and not isinstance(self.designer, GridSpec):
            raise ValueError(
                f"trials must be a number for the designer {self.designer.kind}; only grid has an end of its own"
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
        data: The rows; the same for all candidates, so genes cannot touch them.
        trials: How many candidates will be tried, unless time runs out before.
    """

    name: str
    spec: SearchSpec
    space: Space
    data: DataSpec
    trials: int

    def scope(self, data: DataSet) -> str:
        """Returns a hash of all that decides a trial's result beside its experiment: data, objective, code."""
        return _hash(data.digest, self.spec.maximise.model_dump(mode="json"), code_version())

    def identity(self, data: DataSet) -> str:
        """Returns a hash of all that decides what is tried in which order; not of how long and on how many cores."""
        exploring = self.spec.model_dump(mode="json", include={"seed", "designer", "asha", "minimise"})
        return _hash(self.scope(data), exploring, self.space.template)


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
        check_space(space)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    count = sum(1 for _ in combinations(space, {})) if isinstance(spec.designer, GridSpec) else spec.trials
    return Search(path.stem, spec, space, data, min(count or 1, spec.trials or count or 1))
