"""From the trials of a search to the winner, and on to the registry."""

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click

from tsad.assessment.artifacts import DETECTOR, SCHEDULE, assessed_metrics, write_assessment, write_results
from tsad.assessment.assessment import Assessment, assess
from tsad.assessment.summary import conclusion, show_comparison
from tsad.data.dataset import DataSet
from tsad.detector.detector import Detector
from tsad.errors import DataError, DetectorError, TsadError
from tsad.experiment import ExperimentConfig, Outcome
from tsad.registry.aliases import CHALLENGER, CHAMPION, read_decision, set_challenger
from tsad.registry.gate import Contest, Decision, decide, settle
from tsad.registry.log import log_detector
from tsad.registry.register import register, version_of
from tsad.selection.ensemble import EnsembleMember, build_ensemble, choose_members, write_ensemble
from tsad.selection.objective import LabelFreeSpec
from tsad.selection.trial import EndedTrials
from tsad.spec import write_yaml
from tsad.tracking.runs import RunWriter
from tsad.tracking.tags import Tag, provenance_tags
from tsad.tuning.spec import SearchSpec
from tsad.workflows.context import Place


@dataclass(frozen=True)
class Champion:
    """Who won a search; the files are in `champion/` of its folder, also where another stays champion of the registry.

    Attributes:
        name: For tables.
        trials: Names of the trials that it is made of: one, or the members of an ensemble, best first.
        experiment: Of the first of them: says which rows are reported.
        metrics: `value`, what was maximized, and `ensemble/value` if there was an ensemble, whoever won.
    """

    name: str
    trials: tuple[str, ...]
    experiment: ExperimentConfig
    metrics: dict[str, float]


def choose_champion(spec: SearchSpec, ended: EndedTrials, data: DataSet, folder: Path, space: Path) -> Champion:
    """Returns the best finished trial, or the ensemble of the best ones if its value is larger still.

    Writes `champion/` and `champion.yaml` into the folder.

    Raises:
        TsadError: if no trial finished.
    """
    winner, files = min(ended, key=lambda pair: pair[0].rank)
    if winner.state != "finished" or files is None or winner.value is None:
        reasons = "; ".join(sorted({trial.reason for trial, _ in ended if trial.reason}))
        raise TsadError(f"a champion needs a finished trial, but none of {len(ended)} finished ({reasons})")
    shutil.rmtree(folder / "champion", ignore_errors=True)  # half a one, if the search was killed
    found = _ensemble(spec, ended, data)
    values = {"value": winner.value} | ({} if found is None else {"ensemble/value": found[2]})
    if found is not None and found[2] > winner.value:
        chosen, outcome, value = found
        name = f"ensemble of {len(chosen)}"
        write_results(outcome, winner.candidate.experiment, folder / "champion", f"{name} on {data.name}")
        (folder / "champion" / "experiment.yaml").unlink()  # that of one member would not make it again
        write_ensemble(chosen, folder / "champion.yaml")
        trials = tuple(each.trial.candidate.name for each in chosen)
        champion = Champion(name, trials, winner.candidate.experiment, values | {"value": value})
    else:
        name = winner.candidate.name
        shutil.copytree(files, folder / "champion", ignore=shutil.ignore_patterns(".*"))
        scheduled = (files / SCHEDULE).is_file()
        command = "champion/schedule.json and this make it again" if scheduled else "tsad train champion.yaml"
        write_yaml(folder / "champion.yaml", winner.candidate.experiment, f"{command}  (won {space}, {name})")
        champion = Champion(name, (name,), winner.candidate.experiment, values)
    saved = folder / "champion" / DETECTOR
    replace(Detector.load(saved), selection_labels=spec.maximize.labels_used).save(saved)
    return champion


def _ensemble(
    spec: SearchSpec, ended: EndedTrials, data: DataSet
) -> tuple[list[EnsembleMember], Outcome, float] | None:
    """Returns the members of the ensemble of the best trials, what it comes to and its value; None if there cannot be one."""
    if spec.ensemble is None or spec.maximize.kind == "validation_error":  # several models have no error in common
        return None
    try:
        chosen = choose_members(ended, data, spec.ensemble)
        if len(chosen) < 2:
            return None
        outcome = build_ensemble(chosen, data)
        value = spec.maximize.value(outcome)
    except (DataError, DetectorError) as error:
        click.echo(f"no ensemble: {error}\n")
        return None
    names = ", ".join(each.trial.candidate.name for each in chosen)
    click.echo(f"ensemble of {names}: value {value:.4f}; best trial: {chosen[0].trial.value or 0:.4f}\n")
    return chosen, outcome, value


@dataclass(frozen=True)
class Registered:
    """The version that a search's winner became.

    Attributes:
        name: Of the registered model.
        version: Of it.
        decision: What the gate decided.
    """

    name: str
    version: str
    decision: Decision

    @property
    def uri(self) -> str:
        """Where the winner is found."""
        return f"models:/{self.name}@{CHALLENGER if self.decision.outcome == 'rejected' else CHAMPION}"


def crown(writer: RunWriter, data: DataSet, champion: Champion, folder: Path, spec: SearchSpec) -> Registered | None:
    """Assesses the winner as it was saved, beside the baselines, logs it, registers it, and sends it to the gate.

    Args:
        writer: Of the search's run.
        data: Of the search.
        champion: The winner; not yet that of the registered model.
        folder: Of the search.
        spec: Says what it is registered as, and what the gate asks of it.

    Returns:
        What it became; None if nothing was to be registered.
    """
    detector = Detector.load(folder / "champion" / DETECTOR)
    assessment = assess(detector, champion.experiment, data, f"{champion.name} on {data.name}")
    write_assessment(assessment, folder / "champion")
    writer.metrics(assessed_metrics(assessment) | champion.metrics)
    writer.files(folder / "champion", "champion")
    writer.file(folder / "champion.yaml")
    tags = {Tag.CHAMPION_TRIALS: " ".join(champion.trials), Tag.BEATS_BASELINES: _beats(assessment)}
    tags |= provenance_tags(detector.provenance)
    writer.tags(tags)
    last = assessment.first_row + len(assessment.scores) - 1
    rows = f"{data.name}, rows {assessment.first_row}-{last} of its test part"
    comparison, conclusion_text = show_comparison(champion.name, assessment), conclusion(assessment)
    legend = "" if assessment.labels is None else "; oracle/... read their labels, deployable/f1 did not"
    click.echo(f"{rows}{legend}:")
    click.echo(f"{comparison}\n\n{conclusion_text}\n")
    became, title = None, f"Winner `{champion.name}`"
    if spec.registered is not None:
        injection = spec.maximize if spec.maximize.kind == "label_free" else LabelFreeSpec(kind="label_free")
        contest = Contest(data, champion.experiment.split, spec.gate, injection)
        became = enter(writer, contest, folder, spec.registered, tags)
        title += f", {became.name} version {became.version}"
        conclusion_text += f"\n\n{became.decision.text}"
        click.echo(f"{became.decision.text}\n")
    writer.note(f"{title}, on {rows}:\n\n```\n{comparison}\n```\n\n{conclusion_text}")
    return became


def enter(writer: RunWriter, contest: Contest, folder: Path, name: str, tags: dict[str, str]) -> Registered:
    """Registers the winner and sends it to the gate; what was done before the search was killed is not done again."""
    saved = folder / "champion" / DETECTOR
    version = version_of(writer.run_id, name)
    if version is None:
        model = log_detector(writer.run_id, saved, contest.data.test, tags)
        version = register(model, name, {Tag.RUN: writer.run_id} | tags)
    before = read_decision(name, version)
    if before is not None:
        return Registered(name, version, Decision(*before))
    set_challenger(name, version)
    try:
        decision = decide(name, version, Detector.load(saved), contest)
    except TsadError as error:
        decision = Decision("rejected", f"Version {version} stays challenger: {error}.")
    if decision.outcome == "first":
        decision = replace(decision, text=f"{decision.text} {_BEATS[tags[Tag.BEATS_BASELINES]]}")
    settle(name, version, decision, writer, folder)
    return Registered(name, version, decision)


_BEATS = {
    "yes": "It beats the best baseline.",
    "perhaps": "It does not surely beat the best baseline.",
    "no": "It does not beat the best baseline.",
    "unknown": "Nobody can say whether it beats a baseline.",
}


def _beats(assessment: Assessment) -> str:
    """Returns whether the detector is worth more than the best baseline, in a word of `_BEATS`."""
    gain = None if assessment.certainty is None else assessment.certainty.gain
    if gain is None:
        return "unknown"
    if gain.difference.low > 0:
        return "yes"
    return "perhaps" if gain.value > gain.rival_value else "no"


def say_where(place: Place, became: Registered | None, champion: Champion, folder: Path) -> None:
    """Prints where the winner is and the commands that make it again, open the UI and serve it."""
    uri = place.store.uri
    folder_of_python = Path(sys.executable).parent
    shown = (
        folder_of_python.relative_to(Path.cwd()) if folder_of_python.is_relative_to(Path.cwd()) else folder_of_python
    )
    if became is None:
        click.echo(f"detector:  {folder / 'champion' / DETECTOR}")
    else:
        click.echo(f"{became.uri.rpartition('@')[2] + ':':<10} {became.uri}  (version {became.version})")
    if (folder / "champion" / SCHEDULE).is_file():
        click.echo(f"schedule:  {folder / 'champion' / SCHEDULE}")
    elif len(champion.trials) == 1:
        click.echo(f"again:     {shown}/tsad train {folder / 'champion.yaml'}")
    else:
        click.echo(f"members:   {folder / 'champion.yaml'}")
    click.echo(f"report:    {folder / 'nas_report.txt'}")
    click.echo(f"look:      {shown}/mlflow ui --backend-store-uri {uri}")
    if became is not None:
        serve = f"models serve -m {became.uri} --env-manager local --port 5001"
        click.echo(f"serve:     MLFLOW_TRACKING_URI={uri} {shown}/mlflow {serve}")
