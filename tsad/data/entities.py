"""The entities of a data set one by one: each with its own rows, read when they are needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from tsad.data import DataSpec
from tsad.data.dataset import DataSet
from tsad.data.io.containers.kinds import table_name
from tsad.data.scale import Scaler, StandardScalerSpec
from tsad.data.sets.csv import CsvSpec
from tsad.data.sets.smd import SmdSpec
from tsad.data.split import SplitSpec, trained_rows
from tsad.errors import DataError, SpecError, shown
from tsad.series import Series

Load = Callable[[DataSpec], DataSet]
"""Function that loads the data set of a spec."""


@dataclass(frozen=True, eq=False)
class EntityRows:
    """The rows of one entity.

    Attributes:
        spec: Spec of the data set that the rows are taken from; of the entity alone where it can be described.
        data: Rows of the entity.
    """

    spec: DataSpec
    data: DataSet


def entities_of(spec: DataSpec, load: Load, folder: Path) -> Mapping[str, Callable[[], EntityRows]]:
    """Returns the name of each entity of a data set, with the function that reads its rows.

    Machines of SMD, and files that hold one machine each, are read one by one; any other data set is read now, and its rows
    are handed out entity by entity.

    Args:
        spec: Spec of the data set.
        load: Function that loads a data set.
        folder: Data folder.

    Raises:
        SpecError: if the data set has no entities.
        DataError: if it cannot be read.
    """
    if isinstance(spec, SmdSpec):
        return {name: partial(_single, spec, {"machine": name}, load) for name in spec.machines(folder)}
    files = _files(spec) if isinstance(spec, CsvSpec) else ()
    if isinstance(spec, CsvSpec) and spec.entity is None and spec.events is None and len(files) > 1:
        return _one_a_file(spec, files, load)
    data = load(spec)
    family = _family(spec, files) if isinstance(spec, CsvSpec) else spec.kind
    if data.entities:
        return _slices(spec, data, family)
    if isinstance(spec, CsvSpec) and spec.entity is not None:
        return {data.name.removeprefix(f"{family}-"): lambda: EntityRows(spec, data)}
    raise SpecError(
        f"a detector for each entity needs rows of several entities, but the data of kind {spec.kind} have none; name their "
        f"column with --set data.entity=COLUMN, give a pattern of files as data.path, or leave --each-entity out"
    )


def standardized(data: DataSet, spec: SplitSpec) -> DataSet:
    """Returns the data set with the rows of each entity scaled to mean 0 and deviation 1 of its own fit rows.

    Use it to train one model on entities that differ in level and spread; `Scaler.after` puts the two scalers together again.

    Raises:
        DataError: if an entity has no fit rows.
    """
    names = [entity.name for entity in data.entities] or [data.name]
    scalers = []
    for name, rows in zip(names, trained_rows(data, spec)[0], strict=True):
        if not len(rows):
            raise DataError(
                f"{data.name}: each entity must have rows to fit its scaler on, but {name} has none; leave it out"
            )
        scalers.append(entity_scaler(rows))
    train, test = ([entity.train for entity in data.entities], [entity.test for entity in data.entities])
    return replace(
        data, train=_scaled(data.train, train or [0], scalers), test=_scaled(data.test, test or [0], scalers)
    )


def entity_scaler(fit: Series) -> Scaler:
    """Returns the scaler of one entity, from its fit rows."""
    return StandardScalerSpec(clip=None).fit(fit)


def _scaled(series: Series, firsts: Sequence[int], scalers: Sequence[Scaler]) -> Series:
    edges = pairwise([*firsts, len(series)])
    parts = [scaler.apply(series.part(*rows)).values for rows, scaler in zip(edges, scalers, strict=True)]
    return Series(np.concatenate(parts), series.features, series.labels, series.boundaries, series.times)


def _single(spec: DataSpec, changes: Mapping[str, object], load: Load) -> EntityRows:
    own = spec.model_copy(update=dict(changes))
    return EntityRows(own, load(own))


def _files(spec: CsvSpec) -> tuple[Path, ...]:
    """Returns the files of the training rows."""
    return spec.model_copy(update={"test_path": None, "events": None}).sources(Path())


def _family(spec: CsvSpec, files: tuple[Path, ...]) -> str:
    """Returns the beginning of the name of a data set, before that of its entity."""
    return table_name(files[0]) if files[0] == spec.path else files[0].resolve().parent.name


def _one_a_file(spec: CsvSpec, paths: tuple[Path, ...], load: Load) -> Mapping[str, Callable[[], EntityRows]]:
    """Returns the entities of files, each of one machine; columns are taken by the names that the first readable file has."""
    files, tests = _named(paths), {}
    if spec.test_path is not None:
        tests = _named(_files(spec.model_copy(update={"path": spec.test_path})))
        if tests.keys() != files.keys():
            lonely = shown(sorted(tests.keys() ^ files.keys()))
            raise DataError(
                f"each entity must have training rows and test rows, but {lonely} have one of them only; give both, or leave "
                f"those entities out"
            )
    features: list[tuple[str, ...]] = [] if spec.features is None else [spec.features]

    def read(name: str) -> EntityRows:
        changes = {"path": files[name], "test_path": tests.get(name), "features": features[0] if features else None}
        rows = _single(spec, changes, load)
        if not features and rows.data.read_options is not None and rows.data.read_options.features is not None:
            features.append(rows.data.read_options.features)
        return rows

    return {name: partial(read, name) for name in files}


def _named(files: tuple[Path, ...]) -> dict[str, Path]:
    names = [table_name(file) for file in files]
    for name, file in zip(names, files, strict=True):
        if names.count(name) > 1:
            raise DataError(f"{file}: a file of one machine has its name, but two are called {name!r}; rename one")
    return dict(zip(names, files, strict=True))


def _slices(spec: DataSpec, data: DataSet, family: str) -> Mapping[str, Callable[[], EntityRows]]:
    train = pairwise([*(entity.train for entity in data.entities), len(data.train)])
    test = pairwise([*(entity.test for entity in data.entities), len(data.test)])
    edges = {entity.name: rows for entity, *rows in zip(data.entities, train, test, strict=True)}

    def cut(name: str) -> EntityRows:
        (first, after), (test_first, test_after) = edges[name]
        return EntityRows(spec, _part(data, f"{family}-{name}", (first, after), (test_first, test_after)))

    return {name: partial(cut, name) for name in edges}


def _part(data: DataSet, name: str, train: tuple[int, int], test: tuple[int, int]) -> DataSet:
    first, after = test
    return replace(
        data,
        name=name,
        train=data.train.part(*train),
        test=data.test.part(*test),
        entities=(),
        root_causes=tuple(
            cause._replace(start=cause.start - first, stop=cause.stop - first)
            for cause in data.root_causes
            if first <= cause.start < after
        ),
        typed_events=tuple(
            event._replace(start=event.start - first, stop=event.stop - first)
            for event in data.typed_events
            if first <= event.start < after
        ),
    )
