"""From the trials of a search to its champion, and on to the registry."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from tsad.assessment.artifacts import headline_metrics, write_assessment, write_results
from tsad.assessment.assessment import Assessment, assess, beats_sentence
from tsad.assessment.file_names import SCHEDULE
from tsad.assessment.summary import conclusion, show_comparison
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError, TsadError
from tsad.experiment import Outcome
from tsad.registry.aliases import CHALLENGER, CHAMPION, promote, read_decision, set_challenger
from tsad.registry.gate import Decision, GateInputs, apply, decide
from tsad.registry.register import register_detector, version_of
from tsad.selection.champion_files import ChampionFiles
from tsad.selection.comparison import compare
from tsad.selection.ensemble import EnsembleMember, build_ensemble, choose_members, ensemble_config
from tsad.selection.evidence import Choice, SiblingMetrics, choose
from tsad.selection.objective import LabelFreeSpec
from tsad.selection.trial import DEFAULT, EndedTrials, Trial
from tsad.spec import write_yaml
from tsad.tracking.runs import RunWriter
from tsad.tracking.tags import Tag, provenance_tags
from tsad.tuning.spec import SearchSpec


@dataclass(frozen=True)
class Champion:
    """The best detector of a search: its best trial, or the ensemble of its best trials.

    Attributes:
        name: Name of the winning trial, or `ensemble of N`.
        trials: Names of the trials that it consists of, the best first.
        experiment: Config that trains it again.
        metrics: `value`, the value of the objective; `ensemble/value` if there was an ensemble; `default/value`, that of the
            default detector, if the champion was chosen by evidence.
        files: Files of the champion in the folder of the search.
        remark: The evidence for it, or how the ensemble compared with the best trial; empty without either.
        uri: URI of the champion in the registry; None if it is not registered.
        version: Version in the registry; None if it is not registered.
    """

    name: str
    trials: tuple[str, ...]
    experiment: ExperimentConfig
    metrics: dict[str, float]
    files: ChampionFiles
    remark: str = ""
    uri: str | None = None
    version: str | None = None

    def load(self) -> Detector:
        """Returns the detector as it was saved."""
        return Detector.load(self.files.detector)


NO_SIBLINGS: SiblingMetrics = MappingProxyType({})
"""No labeled searches on other rows."""


def select_champion(
    spec: SearchSpec,
    ended: EndedTrials,
    data: DataSet,
    folder: Path,
    space: str,
    siblings: SiblingMetrics = NO_SIBLINGS,
) -> Champion:
    """Returns the champion by the rule of the search: by evidence, or the best trial or ensemble by value.

    Writes `champion/` and `champion.yaml` into the folder of the search.

    Args:
        spec: Settings of the search.
        ended: Trials that have ended, with the folders of their files.
        data: Data of the search.
        folder: Folder of the search.
        space: Name of the search space, for the heading of `champion.yaml`.
        siblings: Metrics of the anchors of earlier searches on other rows with the same columns.

    Raises:
        TsadError: if no trial finished.
    """
    winner, files = min(ended, key=lambda pair: pair[0].rank)
    if winner.state != "finished" or files is None or winner.value is None:
        reasons = "; ".join(sorted({trial.reason for trial, _ in ended if trial.reason}))
        raise TsadError(f"a champion needs a finished trial, but none of {len(ended)} finished ({reasons})")
    target = ChampionFiles(folder)
    shutil.rmtree(target.folder, ignore_errors=True)  # incomplete, if the search was interrupted here
    labeled = spec.maximize.kind == "labeled"
    choice = choose(ended, data, labeled=labeled, siblings=siblings) if spec.champion == "evidence" else None
    if choice is not None:
        return _by_evidence(choice, spec, ended, data, target)
    ensemble, remark = _ensemble(spec, ended, data)
    values = {"value": winner.value} | ({} if ensemble is None else {"ensemble/value": ensemble.value})
    if ensemble is not None and ensemble.value > winner.value:
        champion = _averaged(
            ensemble.members, ensemble.outcome, None, target, values | {"value": ensemble.value}, remark
        )
    else:
        champion = _single(winner, files, target, values, remark, f"won {space}, {winner.candidate.name}")
    replace(champion.load(), selection_labels=spec.maximize.labels_used).save(target.detector)
    return champion


def _by_evidence(
    choice: Choice, spec: SearchSpec, ended: EndedTrials, data: DataSet, target: ChampionFiles
) -> Champion:
    """Returns the champion of a choice by evidence; writes its files."""
    folders = {trial.candidate.number: files for trial, files in ended if files is not None}
    pairs = [(trial, folders[trial.candidate.number]) for trial in choice.trials]
    default = choice.trials[0]
    values = {} if default.value is None else {"value": default.value, "default/value": default.value}
    members = [EnsembleMember.read(trial, files) for trial, files in pairs]
    outcome, reason = None, choice.reason
    if len(members) > 1:
        try:
            outcome = build_ensemble(members, data, choice.weights)
        except (DataError, DetectorError) as error:
            reason += f" They cannot be averaged ({error}), so it is the default detector alone."
    if outcome is None:
        champion = _single(*pairs[0], target, values, reason, "the default detector")
    else:
        with suppress(DataError):  # an objective that an average does not have
            values["value"] = spec.maximize.value(outcome)
        champion = _averaged(members, outcome, choice.weights, target, values, reason)
    replace(champion.load(), selection_labels=choice.labels_used).save(target.detector)
    return champion


def _single(
    trial: Trial, files: Path, target: ChampionFiles, values: dict[str, float], remark: str, what: str
) -> Champion:
    """Returns a champion that is one trial; writes its files."""
    candidate = trial.candidate
    shutil.copytree(files, target.folder, ignore=shutil.ignore_patterns(".*"))
    scheduled = (files / SCHEDULE).is_file()
    command = "champion/schedule.json and this reproduce it" if scheduled else "tsad train champion.yaml"
    write_yaml(target.config, candidate.experiment, f"{command}  ({what})")
    return Champion(candidate.name, (candidate.name,), candidate.experiment, values, target, remark)


def _averaged(
    members: list[EnsembleMember],
    outcome: Outcome,
    weights: Sequence[float] | None,
    target: ChampionFiles,
    values: dict[str, float],
    remark: str,
) -> Champion:
    """Returns a champion that is the average of several trials; writes its files."""
    config = ensemble_config(members, weights)
    name = f"ensemble of {len(members)}"
    write_results(outcome, config, target.folder, name)
    write_yaml(target.config, config, "tsad train champion.yaml")
    trials = tuple(member.trial.candidate.name for member in members)
    return Champion(name, trials, config, values, target, remark)


@dataclass(frozen=True, eq=False)
class _EnsembleResult:
    """An ensemble that competes with the best trial: its members, best first, its outcome and its value."""

    members: list[EnsembleMember]
    outcome: Outcome
    value: float


def _ensemble(spec: SearchSpec, ended: EndedTrials, data: DataSet) -> tuple[_EnsembleResult | None, str]:
    """Returns the ensemble of the best trials, None if there cannot be one, and a remark about it."""
    if spec.ensemble is None or spec.maximize.kind == "validation_error":  # several models have no error in common
        return None, ""
    try:
        members = choose_members(ended, data, spec.ensemble)
        if len(members) < 2:
            return None, ""
        outcome = build_ensemble(members, data)
        value = spec.maximize.value(outcome)
    except (DataError, DetectorError) as error:
        return None, f"no ensemble: {error}"
    names = ", ".join(member.trial.candidate.name for member in members)
    best = members[0].trial.value or 0
    return _EnsembleResult(members, outcome, value), f"ensemble of {names}: value {value:.4f}; best trial: {best:.4f}"


def register_champion(
    writer: RunWriter, data: DataSet, champion: Champion, spec: SearchSpec, default: Path | None = None
) -> tuple[Champion, Assessment, Decision | None]:
    """Assesses the champion as it was saved beside the baselines, logs it, registers it, and sends it to the gate.

    Args:
        writer: Writer of the search's run.
        data: Data of the search.
        champion: Champion of the search.
        spec: Settings of the search: the name of the registered model, and the rules of the gate.
        default: Folder of the default detector of the search, if it is not part of the champion; a first version that is
            worse than this stays challenger, and the default becomes champion.

    Returns:
        The champion with its URI and version, its assessment, and the decision of the gate; None if nothing is registered.
    """
    detector, files = champion.load(), champion.files
    assessment = assess(detector, champion.experiment, data, f"{champion.name} on {data.name}")
    write_assessment(assessment, files.folder)
    writer.final_metrics(headline_metrics(assessment) | champion.metrics)
    writer.files(files.folder, "champion")
    writer.file(files.config)
    tags = {Tag.CHAMPION_TRIALS: " ".join(champion.trials), Tag.BEATS_BASELINES: assessment.beats_baselines}
    tags |= provenance_tags(detector.provenance)
    writer.tags(tags)
    comparison, sentences = show_comparison(champion.name, assessment), conclusion(assessment)
    decision, title = None, f"Winner `{champion.name}`"
    if spec.registered is not None:
        injection = spec.maximize if spec.maximize.kind == "label_free" else LabelFreeSpec(kind="label_free")
        inputs = GateInputs(data, champion.experiment.split, spec.gate, injection)
        version, decision = pass_gate(writer, inputs, files, spec.registered, tags, default)
        alias = CHALLENGER if decision.outcome == "rejected" else CHAMPION
        champion = replace(champion, uri=f"models:/{spec.registered}@{alias}", version=version)
        title += f", {spec.registered} version {version}"
        sentences += f"\n\n{decision.text}"
    writer.note(f"{title}, on {reported_rows(data.name, assessment)}:\n\n```\n{comparison}\n```\n\n{sentences}")
    return champion, assessment, decision


def reported_rows(data: str, assessment: Assessment) -> str:
    """Returns which rows of the data an assessment is of, in words."""
    last = assessment.first_row + len(assessment.scores) - 1
    return f"{data}, rows {assessment.first_row}-{last} of its test part"


def pass_gate(
    writer: RunWriter,
    inputs: GateInputs,
    files: ChampionFiles,
    name: str,
    tags: dict[str, str],
    default: Path | None = None,
) -> tuple[str, Decision]:
    """Registers the champion of a search and sends it to the gate; steps done before an interruption are not repeated.

    The steps, each of which finds its own result again: the logged model and the version, by the tags `tsad.run` and
    `tsad.digest`; the alias challenger; the decision, which counts only with the version's tag `tsad.gate`, its last write.
    The run of the search is ended by nobody here: it is FINISHED after everything else.

    A first version has no champion to beat. If it is worse than the default detector by more than the margin, that becomes
    champion in its place.

    Returns:
        Its version, and the decision of the gate.
    """
    version = register_detector(writer.run_id, files.detector, inputs.data.test, name, tags)
    earlier = read_decision(name, version)
    if earlier is not None:
        return version, Decision(*earlier)
    set_challenger(name, version)
    try:
        decision = decide(name, version, Detector.load(files.detector), inputs)
    except TsadError as error:
        decision = Decision("rejected", f"Version {version} stays challenger: {error}.")
    if default is not None and (decision.outcome == "first" or _is_registered(default, writer.run_id, name)):
        decision = _first_or_default(name, version, Detector.load(files.detector), inputs, (writer.run_id, default))
    if decision.outcome == "first":
        decision = replace(decision, text=f"{decision.text} {beats_sentence(tags[Tag.BEATS_BASELINES])}")
    apply(name, version, decision, writer, files.search)
    return version, decision


def _is_registered(default: Path, run_id: str, name: str) -> bool:
    """Returns whether a search registered its default detector before it was interrupted, which a first version alone does."""
    return version_of(run_id, name, Detector.load(default).digest) is not None


def _first_or_default(
    name: str, version: str, challenger: Detector, inputs: GateInputs, default: tuple[str, Path]
) -> Decision:
    """Returns the decision about a first version; registers the default detector as champion if that is better.

    Args:
        name: Name of the registered model.
        version: Number of the first version.
        challenger: Detector of that version.
        inputs: Rows and rules of the comparison.
        default: Id of the run of the search, and the folder of its default detector.
    """
    run_id, folder = default
    detector = Detector.load(folder)
    comparison = compare(detector, challenger, (inputs.data, inputs.split), inputs.gate, inputs.injection)
    if not comparison.passed:
        return Decision("first", f"models:/{name} had no champion; version {version} is the first.")
    tags = {Tag.CHAMPION_TRIALS: DEFAULT} | provenance_tags(detector.provenance)
    registered = register_detector(run_id, folder, inputs.data.test, name, tags)
    promote(name, registered)
    return Decision(
        "rejected",
        f"Version {version} is below the default detector in {comparison.metric} on {comparison.rows}: "
        f"{comparison.champion:.3f} against {comparison.challenger:.3f}, by more than the margin of {comparison.margin:g}. It "
        f"stays challenger; version {registered}, the default detector fitted on the same rows, is champion.",
    )
