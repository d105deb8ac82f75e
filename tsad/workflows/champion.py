"""From the trials of a search to its champion, and on to the registry."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tsad.assessment.artifacts import SCHEDULE, assessed_metrics, write_assessment, write_results
from tsad.assessment.assessment import Assessment, assess, beats_sentence
from tsad.assessment.summary import conclusion, show_comparison
from tsad.config import ExperimentConfig
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError, TsadError
from tsad.experiment import Outcome
from tsad.registry.aliases import CHALLENGER, CHAMPION, read_decision, set_challenger
from tsad.registry.gate import Decision, GateInputs, apply, decide
from tsad.registry.log import log_detector
from tsad.registry.register import register, version_of
from tsad.selection.champion_files import ChampionFiles
from tsad.selection.ensemble import EnsembleMember, build_ensemble, choose_members, write_ensemble
from tsad.selection.objective import LabelFreeSpec
from tsad.selection.trial import EndedTrials
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
        experiment: Config of the best of these trials; it defines the reported rows.
        metrics: `value`, the value of the objective, and `ensemble/value` if there was an ensemble.
        files: Files of the champion in the folder of the search.
        remark: How the ensemble compared with the best trial; empty without an ensemble.
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


def select_champion(spec: SearchSpec, ended: EndedTrials, data: DataSet, folder: Path, space: str) -> Champion:
    """Returns the best finished trial, or the ensemble of the best trials if its value is larger.

    Writes `champion/` and `champion.yaml` into the folder of the search.

    Args:
        spec: Settings of the search.
        ended: Trials that have ended, with the folders of their files.
        data: Data of the search.
        folder: Folder of the search.
        space: Name of the search space, for the heading of `champion.yaml`.

    Raises:
        TsadError: if no trial finished.
    """
    winner, files = min(ended, key=lambda pair: pair[0].rank)
    if winner.state != "finished" or files is None or winner.value is None:
        reasons = "; ".join(sorted({trial.reason for trial, _ in ended if trial.reason}))
        raise TsadError(f"a champion needs a finished trial, but none of {len(ended)} finished ({reasons})")
    target = ChampionFiles(folder)
    shutil.rmtree(target.folder, ignore_errors=True)  # incomplete, if the search was interrupted here
    ensemble, remark = _ensemble(spec, ended, data)
    values = {"value": winner.value} | ({} if ensemble is None else {"ensemble/value": ensemble.value})
    config = winner.candidate.experiment
    if ensemble is not None and ensemble.value > winner.value:
        name = f"ensemble of {len(ensemble.members)}"
        write_results(ensemble.outcome, config, target.folder, f"{name} on {data.name}")
        target.experiment.unlink()  # the experiment of one member does not reproduce the ensemble
        write_ensemble(ensemble.members, target.config)
        trials = tuple(member.trial.candidate.name for member in ensemble.members)
        champion = Champion(name, trials, config, values | {"value": ensemble.value}, target, remark)
    else:
        name = winner.candidate.name
        shutil.copytree(files, target.folder, ignore=shutil.ignore_patterns(".*"))
        command = (
            "champion/schedule.json and this reproduce it"
            if (files / SCHEDULE).is_file()
            else "tsad train champion.yaml"
        )
        write_yaml(target.config, config, f"{command}  (won {space}, {name})")
        champion = Champion(name, (name,), config, values, target, remark)
    replace(champion.load(), selection_labels=spec.maximize.labels_used).save(target.detector)
    return champion


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
    writer: RunWriter, data: DataSet, champion: Champion, spec: SearchSpec
) -> tuple[Champion, Assessment, Decision | None]:
    """Assesses the champion as it was saved beside the baselines, logs it, registers it, and sends it to the gate.

    Args:
        writer: Writer of the search's run.
        data: Data of the search.
        champion: Champion of the search.
        spec: Settings of the search: the name of the registered model, and the rules of the gate.

    Returns:
        The champion with its URI and version, its assessment, and the decision of the gate; None if nothing is registered.
    """
    detector, files = champion.load(), champion.files
    assessment = assess(detector, champion.experiment, data, f"{champion.name} on {data.name}")
    write_assessment(assessment, files.folder)
    writer.metrics(assessed_metrics(assessment) | champion.metrics)
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
        version, decision = pass_gate(writer, inputs, files, spec.registered, tags)
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
    writer: RunWriter, inputs: GateInputs, files: ChampionFiles, name: str, tags: dict[str, str]
) -> tuple[str, Decision]:
    """Registers the champion of a search and sends it to the gate; steps done before an interruption are not repeated.

    Returns:
        Its version, and the decision of the gate.
    """
    version = version_of(writer.run_id, name)
    if version is None:
        model = log_detector(writer.run_id, files.detector, inputs.data.test, tags)
        version = register(model, name, {Tag.RUN: writer.run_id} | tags)
    earlier = read_decision(name, version)
    if earlier is not None:
        return version, Decision(*earlier)
    set_challenger(name, version)
    try:
        decision = decide(name, version, Detector.load(files.detector), inputs)
    except TsadError as error:
        decision = Decision("rejected", f"Version {version} stays challenger: {error}.")
    if decision.outcome == "first":
        decision = replace(decision, text=f"{decision.text} {beats_sentence(tags[Tag.BEATS_BASELINES])}")
    apply(name, version, decision, writer, files.search)
    return version, decision
