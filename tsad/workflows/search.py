"""`tsad search`: many trials, one champion."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from tsad.data.dataset import DataSet
from tsad.errors import TsadError
from tsad.provenance import Provenance
from tsad.selection.trial import Trial
from tsad.tracking.runs import RunWriter, leading_run
from tsad.tracking.search_runs import TrialRecorder, end_orphans, unfinished
from tsad.tracking.store import Store
from tsad.tracking.tags import Tag, provenance_tags
from tsad.tracking.trial_cache import MlflowTrialCache
from tsad.tuning.journal import JOURNAL, Journal
from tsad.tuning.plots import search_plots
from tsad.tuning.ray_tune import run_trials
from tsad.tuning.report import nas_report
from tsad.tuning.session import NoTrialCache, SearchSession
from tsad.tuning.spec import SearchConfig, read_search
from tsad.tuning.trial_table import show_trials, trial_table
from tsad.workflows.champion import choose_champion, crown, say_where
from tsad.workflows.context import load_data, open_place
from tsad.workflows.locks import abandoned, claimed
from tsad.workflows.progress import Watch


def search(path: Path, changes: Mapping[str, Any], *, resume: bool = False) -> None:
    """Runs the search of a YAML file, registers the winner, champion if it passes the gate, and says where everything is.

    Args:
        path: Of the search space.
        changes: Put at their paths.
        resume: Go on with the newest search of the same space, data, search algorithm and code that did not come to its end, if
            there is one on this machine; nothing that it finished is lost or repeated.
    """
    wanted = read_search(path, changes)
    place = open_place()
    data = load_data(wanted.data, place.settings)
    folders = place.settings.output_dir / "search"
    with ExitStack() as stack:
        before = _interrupted(place.store, folders, wanted.search_fingerprint(data)) if resume else None
        if before is not None:
            stack.enter_context(claimed(folders / before))
        end_orphans(place.store, lambda run_id: abandoned(folders / run_id))
        name = f"{wanted.name}-{data.name}"
        writer = stack.enter_context(leading_run(place.store, name, _tags(wanted, data), before))
        folder = folders / writer.run_id
        if before is None:
            stack.enter_context(claimed(folder))
            writer.inputs(data)
        else:  # parameters stay as they were logged first
            writer.tags(
                {
                    Tag.RESUMED_TRIALS: str(wanted.spec.trials),
                    Tag.RESUMED_SECONDS: str(wanted.spec.seconds),
                    Tag.RESUMED_PARALLEL: str(wanted.spec.parallel),
                }
            )
        writer.parameters({"search": wanted.spec.model_dump(mode="json"), "data": wanted.data.model_dump(mode="json")})
        ended = _run(wanted, data, place.store, folder)
        _report(wanted, [trial for trial, _ in ended], writer, folder)
        champion = choose_champion(wanted.spec, ended, data, folder, path)
        became = crown(writer, data, champion, folder, wanted.spec)
    say_where(place, became, champion, folder)


def _interrupted(store: Store, folders: Path, search_fingerprint: str) -> str | None:
    """Returns the run of the search to go on with, None if there is none, and says which."""
    begun = unfinished(store, search_fingerprint)
    found = next((run_id for run_id in begun if (folders / run_id / JOURNAL).is_file()), None)
    if begun and found is None:
        click.echo(f"search {begun[0]} cannot be gone on with: its journal is not in {folders / begun[0]}")
    click.echo(f"going on with search {found}" if found else "there is no search to go on with; this is a new one")
    return found


def _tags(wanted: SearchConfig, data: DataSet) -> dict[str, str]:
    return {
        Tag.KIND: "search",
        Tag.ALGORITHM: wanted.spec.algorithm.kind,
        Tag.SEARCH_FINGERPRINT: wanted.search_fingerprint(data),
        **provenance_tags(Provenance(selection=wanted.spec.maximize.labels_used)),
    }


def _run(wanted: SearchConfig, data: DataSet, store: Store, folder: Path) -> Sequence[tuple[Trial, Path | None]]:
    """Returns every trial, those of earlier sessions first, with the folder of its files."""
    spec, result_fingerprint = wanted.spec, wanted.result_fingerprint(data)
    recorder = TrialRecorder(store, folder.name, data, spec.maximize.labels_used, result_fingerprint)
    cache = MlflowTrialCache(store, result_fingerprint, folder / "reused") if spec.reuse else NoTrialCache()
    algorithm = spec.algorithm.build(wanted.space, spec.seed, spec.minimize)
    click.echo(
        f"searching {data.name}: {wanted.trials} trials by {spec.algorithm.kind}, {spec.parallel} side by side, "
        f"{spec.cpus:g} cores each; maximizing {spec.maximize.kind}"
    )
    with Watch(recorder, wanted.trials) as watch:
        try:
            session = SearchSession(algorithm, wanted.trials, Journal(folder / JOURNAL), watch, cache)
            recorder.catch_up(session.ended)
            watch.skip([trial for trial, _ in session.ended])
            storage = folder / "ray" / str(sum(1 for _ in (folder / "ray").glob("*")))
            run_trials(wanted, session, data, storage)
        finally:
            recorder.close()
    if not session.ended:
        raise TsadError("a champion needs a finished trial, but no trial ended in time; give more seconds")
    return session.ended


def _report(wanted: SearchConfig, trials: Sequence[Trial], writer: RunWriter, folder: Path) -> None:
    """Prints the table of trials; logs it with the report and its plots."""
    table = trial_table(trials)
    click.echo(f"\n{show_trials(table)}\n")
    table.to_csv(folder / "trials.csv", index=False)
    (folder / "nas_report.txt").write_text(nas_report(trials, wanted.spec, wanted.space, wanted.name), encoding="utf-8")
    plots = folder / "search_plots"
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir()
    for name, figure in search_plots(trials, wanted.spec, wanted.space).items():
        figure.savefig(plots / f"{name}.png", dpi="figure")
    writer.files(plots, "search_plots")
    for name in ("trials.csv", "nas_report.txt"):
        writer.file(folder / name)
