"""The samplers of Optuna, through Ray's own `OptunaSearch`."""

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tsad.errors import SpecError
from tsad.selection.trial import Candidate, Trial
from tsad.spec import Spec
from tsad.tuning.algorithms.contract import CandidateFactory, SearchAlgorithm
from tsad.tuning.pareto import comparable, objectives
from tsad.tuning.space import ChoiceParam, MissingParamError, Param, Params, Space

if TYPE_CHECKING:
    from optuna import Trial as OptunaTrial
    from optuna.samplers import BaseSampler

_REPEATS = 8
"""Number of proposals that are asked for before a random candidate replaces repeated ones."""
_RANDOM_TRIALS = 10
"""Number of random trials before a sampler learns, and size of a generation of NSGA-II."""


class OptunaSpec(Spec):
    """A sampler of Optuna with the settings that its authors recommend, except for those stated here.

    Attributes:
        sampler: Name of the sampler: `tpe` (Bergstra et al. 2011), multivariate, with conditional hyperparameters modeled in
            groups of those that occur together (Falkner et al. 2018), or `nsga2` (Deb et al. 2002), in generations of 10 in
            place of 50.
    """

    kind: Literal["optuna"]
    sampler: Literal["tpe", "nsga2"] = "tpe"

    def build(self, space: Space, seed: int, minimize: Sequence[str] = ()) -> SearchAlgorithm:
        """Returns the search algorithm; the negatives of costs become objectives of the study, which are maximized."""
        return OptunaAlgorithm(self, CandidateFactory(space, seed), seed, minimize)


class OptunaAlgorithm:
    """Proposes the candidates of an Optuna study, and reports all results to it.

    A repeated proposal is answered at once with the result of the first and asked for again, a few times; then a random
    candidate is added to the study. A stopped trial is reported as pruned, which TPE ranks below all finished ones. Failed
    trials, trials without a finite value, repetitions of a running trial, and proposals that are no valid experiment are
    reported as failed, which the samplers ignore.

    Args:
        spec: Settings of the sampler.
        factory: Factory of the candidates; its generator draws the random ones.
        seed: Seed of the sampler.
        minimize: Names of the costs that are minimized as well.
    """

    def __init__(self, spec: OptunaSpec, factory: CandidateFactory, seed: int, minimize: Sequence[str]) -> None:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("ray.tune.search.optuna").setLevel(logging.ERROR)
        self._factory = factory
        self._flat = spec.sampler == "nsga2"
        self._minimize = minimize
        self._metrics = ["value", *minimize]
        storage = optuna.storages.InMemoryStorage()
        self._search = OptunaSearch(
            self._define,
            metric=self._metrics if minimize else "value",
            mode=["max"] * len(self._metrics) if minimize else "max",
            sampler=_sampler(spec, seed),
            storage=storage,
        )
        self._study = optuna.load_study(study_name="optuna", storage=storage)
        self._params: Params = {}
        self._asked = 0
        self._names: dict[int, str] = {}
        self._ended: dict[int, Trial] = {}

    def suggest(self) -> Candidate | None:
        """Returns a candidate of the sampler, or a random one if the sampler repeats itself."""
        for _ in range(_REPEATS):
            name = self._ask()
            try:
                candidate, is_new = self._factory.admit(self._params)
            except SpecError:
                self._report(name, None)
                continue
            if is_new:
                self._names[candidate.number] = name
                return candidate
            self._report(name, self._ended.get(candidate.number))
        candidate = self._factory.candidate(lambda: ({}, ()), generation=0)
        self._study.enqueue_trial(dict(candidate.params))
        self._names[candidate.number] = self._ask()
        return candidate

    def update(self, trial: Trial) -> None:
        """Reports the result to the study."""
        self._ended[trial.candidate.number] = trial
        self._report(self._names[trial.candidate.number], trial)

    def _ask(self) -> str:
        """Starts a trial of the study, which calls `_define`, and returns its name."""
        self._asked += 1
        name = str(self._asked)
        with warnings.catch_warnings():  # Ray warns if the first call, which loads modules, takes more than a second
            warnings.simplefilter("ignore")
            self._search.suggest(name)
        return name

    def _report(self, name: str, trial: Trial | None) -> None:
        if trial is not None and trial.state == "stopped":
            self._search.on_trial_complete(name)
            return
        if trial is None or not comparable(trial):
            self._search.on_trial_complete(name, error=True)
            return
        numbers = objectives([trial], self._minimize)[0]
        self._search.on_trial_complete(name, dict(zip(self._metrics, numbers.tolist(), strict=True)))

    def _define(self, trial: "OptunaTrial") -> None:
        """Suggests hyperparameters: all of them to NSGA-II, else those that the values before make active."""
        space = self._factory.space
        params: dict[str, Any] = {}
        self._params = params
        if self._flat:
            params |= {address: _suggested(trial, address, param) for address, param in space.params.items()}
            return
        while True:
            try:
                space.resolve(params)
            except MissingParamError as missing:
                params[missing.address] = _suggested(trial, missing.address, space.params[missing.address])
            else:
                return


def _sampler(spec: OptunaSpec, seed: int) -> "BaseSampler":
    from optuna.samplers import NSGAIISampler, TPESampler

    if spec.sampler == "nsga2":
        return NSGAIISampler(population_size=_RANDOM_TRIALS, seed=seed)
    with warnings.catch_warnings():  # multivariate, group and constant_liar are called experimental
        warnings.simplefilter("ignore")
        return TPESampler(
            n_startup_trials=_RANDOM_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=True,
            warn_independent_sampling=False,
            seed=seed,
        )


def _suggested(trial: "OptunaTrial", address: str, param: Param) -> float:
    if isinstance(param, ChoiceParam):
        return int(trial.suggest_categorical(address, range(len(param.choice))))
    low, high = param.range
    if param.whole:
        return trial.suggest_int(address, int(low), int(high), log=param.log)
    shown = float(f"{trial.suggest_float(address, low, high, log=param.log):.4g}")  # four digits, like drawn values
    return min(max(shown, low), high)
