"""A fleet: a detector for each of many entities, saved as one folder of JSON and safetensors."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, ValidationError

from tsad.data.io.answers import text_of
from tsad.data.io.read_options import ReadOptions
from tsad.detector.detector import Detector
from tsad.detector.loaded import LoadedDetectors
from tsad.detector.score_table import flag_table, with_threshold
from tsad.errors import DataError, DetectorError, shown
from tsad.spec import Spec
from tsad.thresholds import FittedThreshold

MANIFEST = "fleet.json"
"""Name of the file in the folder of a fleet that names its entities."""
ENTITIES, SHARED = "entities", "shared"
"""Folders of a fleet that hold the detectors of its entities, and the one for all others."""
COLUMN = "entity"
"""Name of the column of entities in requests to a fleet whose rows were read from one file a machine."""

_SHOWN = 400


class Manifest(Spec):
    """Content of `fleet.json`.

    Attributes:
        format: Version of the form of the folder.
        column: Name of the column that says which entity a row belongs to.
        features: Names of the features, which all detectors share.
        entities: Folder of the detector of each entity, by its name, below the folder of the fleet.
        shared: Folder of the detector of all other entities; null if there is none.
    """

    format: Literal["tsad-fleet-1"] = "tsad-fleet-1"
    column: str = COLUMN
    features: tuple[str, ...] = Field(min_length=1)
    entities: dict[str, str] = Field(min_length=1)
    shared: str | None = None


@dataclass(frozen=True, eq=False)
class Fleet:
    """Detectors of many entities, read from their folder as they are needed.

    Get one from `tsad.load_fleet` or `tsad.train_each_entity`. A `tsad score` of a fleet scores each row by the detector of its
    entity.

    Attributes:
        folder: Folder of the fleet.
        manifest: Names of its entities, and where their detectors are.
        threshold: Threshold of all detectors in place of their own; None leaves them.
        thresholds: Recalibrated thresholds in place of those that were saved, by the folder of their detector in the manifest.
        loaded: Detectors in memory; by default up to 64.
    """

    folder: Path
    manifest: Manifest
    threshold: float | None = None
    thresholds: Mapping[str, FittedThreshold] = field(default_factory=dict, repr=False)
    loaded: LoadedDetectors = field(default_factory=LoadedDetectors, repr=False)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, which all detectors share."""
        return self.manifest.features

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entities that have a detector of their own."""
        return tuple(self.manifest.entities)

    @cached_property
    def read_options(self) -> ReadOptions:
        """Reading of the training rows, by which files of more rows are read."""
        return ReadOptions.load(self.folder)

    def __contains__(self, entity: str) -> bool:
        return entity in self.manifest.entities

    def __len__(self) -> int:
        return len(self.manifest.entities)

    def detector(self, entity: str) -> Detector:
        """Returns the detector of an entity, or the shared one for an entity that has none of its own.

        Raises:
            DataError: if the entity is unknown and there is no shared detector.
            DetectorError: if the saved detector is damaged.
        """
        part = self.part(entity)
        detector = self.loaded.get(self.folder / part)
        if detector.scorer.features != self.features:
            raise DetectorError(
                f"{self.folder / part}: must have the features {list(self.features)}, but has "
                f"{list(detector.scorer.features)}; train the fleet again"
            )
        if part in self.thresholds:
            detector = replace(detector, threshold=self.thresholds[part])
        return with_threshold(detector, self.threshold, "threshold")

    def part(self, entity: str) -> str:
        """Returns the folder of the detector of an entity below that of the fleet; errors as for `check`."""
        self.check([entity])
        return self.manifest.entities.get(entity) or str(self.manifest.shared)

    def score(self, frame: pd.DataFrame, *, top: int = 0) -> pd.DataFrame:
        """Returns `score` (None where there is none) and `flag` for each row of a DataFrame, in its order.

        Args:
            frame: Rows with the column of entities and the features; the rows of an entity in time order.
            top: Number of features that are named beside each score, in `feature_1`, `share_1`, ...

        Raises:
            DataError: as for `flag_rows`.
        """
        return flag_rows(self, frame, "DataFrame", top=top)

    def detector_folder(self, entity: str) -> Path:
        """Returns the folder of the detector of an entity; errors as for `detector`."""
        return self.folder / self.part(entity)

    def check(self, entities: Iterable[str], source: str = "") -> None:
        """Raises `DataError` naming the entities that no detector is there for, and those that are known.

        Args:
            entities: Names of the entities of rows.
            source: Name of the source of the rows, for the error.
        """
        if self.manifest.shared is not None:
            return
        unknown = sorted({entity for entity in entities if entity not in self})
        if unknown:
            raise DataError(
                f"{f'{source}: ' if source else ''}entities must have a detector in the fleet, but {shown(unknown, _SHOWN)} have "
                f"none; it has {shown(list(self.names), _SHOWN)}; leave their rows out, or train the fleet with a "
                f"shared detector (--shared)"
            )

    def with_threshold(self, threshold: float | None, source: str) -> "Fleet":
        """Returns the fleet whose detectors flag scores above `threshold`; itself if that is None.

        Raises:
            SpecError: if the threshold is not finite, naming the `source` that gave it.
        """
        if threshold is None:
            return self
        with_threshold(self.detector(self.names[0]), threshold, source)  # refuses one that is not finite
        return replace(self, threshold=threshold)

    @classmethod
    def load(cls, folder: Path) -> "Fleet":
        """Returns the fleet of a folder; raises `DetectorError` if its manifest is damaged or a detector is absent."""
        path = folder / MANIFEST
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except OSError as error:
            raise DetectorError(f"{path}: a fleet needs this file, but it cannot be read ({error.strerror})") from None
        except ValidationError as error:
            item = error.errors(include_url=False, include_input=False)[0]
            raise DetectorError(
                f"{path}: must name the entities of a fleet, but {'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}; "
                f"train the fleet again"
            ) from None
        parts = [*manifest.entities.values(), *((manifest.shared,) if manifest.shared else ())]
        absent = [part for part in parts if not _is_inside(part) or not (folder / part).is_dir()]
        if absent:
            raise DetectorError(
                f"{path}: each detector must have its folder here, but {shown(absent[0])} is absent; copy the whole folder again"
            )
        return cls(folder, manifest)

    @classmethod
    def save(
        cls, folder: Path, features: Sequence[str], entities: dict[str, str], shared: str | None, column: str | None
    ) -> "Fleet":
        """Writes the manifest of detectors that are in the folder already, and returns the fleet.

        Args:
            folder: Folder of the fleet.
            features: Names of the features.
            entities: Folder of the detector of each entity, below `folder`.
            shared: Folder of the detector of all other entities, below `folder`; None for none.
            column: Name of the column of entities; None if they came from one file a machine.
        """
        manifest = Manifest(features=tuple(features), entities=entities, shared=shared, column=column or COLUMN)
        (folder / MANIFEST).write_text(json.dumps(manifest.model_dump(mode="json"), indent=1), encoding="utf-8")
        return cls.load(folder)


def flag_rows(fleet: Fleet, table: pd.DataFrame, source: str, *, top: int = 0) -> pd.DataFrame:
    """Returns `score` (float or None) and `flag` (bool) for each row of a table, as a JSON answer needs them.

    Args:
        fleet: Fleet whose detectors give scores and flags.
        table: Rows with the column of entities and the features; the rows of an entity in time order.
        source: Name of the source of the table, for errors.
        top: Number of features that are named, in `feature_1`, `share_1`, ...

    Raises:
        DataError: if a column is absent, an entity is unknown, a cell is no finite number, or the rows of an entity are too few.
    """
    column = fleet.manifest.column
    if column not in table.columns:
        raise DataError(
            f"{source}: needs the column {column!r}, which says whose row it is, but has {shown(list(table.columns), _SHOWN)}; "
            f"add it"
        )
    fleet.check(table[column].dropna().map(text_of).unique(), source)
    return flag_entities(fleet.detector, table, column, source, top=top)


def flag_entities(
    detector_of: Callable[[str], Detector], table: pd.DataFrame, column: str, source: str, *, top: int = 0
) -> pd.DataFrame:
    """Returns what `flag_rows` does, for rows of several entities whose windows do not cross from one to another.

    Args:
        detector_of: Function that returns the detector of an entity.
        table: Rows with the column of entities and the features; the rows of an entity in time order.
        column: Name of the column of entities, which is there.
        source: Name of the source of the table, for errors.
        top: Number of features that are named.

    Raises:
        DataError: if the rows of an entity are too few, or a cell is no finite number.
    """
    if table[column].isna().any():
        row = table.index[int(table[column].isna().to_numpy().argmax())]
        raise DataError(f"{source}: column {column!r} is empty in row {row}; name the entity of each row")
    if not len(table):
        raise DataError(f"{source}: must have rows, but has none; give at least those of one score")
    entities = table[column].map(text_of)
    parts = []
    for name, rows in table.reset_index(drop=True).groupby(entities.to_numpy(), sort=False):
        detector, where = detector_of(str(name)), f"{source}, {column} {name!r}"
        needed = detector.scorer.lookback + detector.scorer.lookahead + 1
        if len(rows) < needed:
            raise DataError(
                f"{where}: a score needs at least {needed} rows of one entity, but got {len(rows)}; send more rows"
            )
        parts.append(flag_table(detector, rows, where, top=top))
    return pd.concat(parts).sort_index().set_axis(table.index)


def _is_inside(part: str) -> bool:
    return not Path(part).is_absolute() and ".." not in Path(part).parts
