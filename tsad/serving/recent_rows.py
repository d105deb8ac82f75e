"""The rows that each detector of a model scored lately, and the recalibrated thresholds of all of them."""

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path

from tsad.serving.model_detectors import ONLY
from tsad.serving.monitoring import THRESHOLD, OnRecalibration, RecentRows
from tsad.serving.served_model import ServedModel

ENTITIES = "entities"
"""Name of the folder in the state folder with the thresholds of the entities of a fleet."""


class RecentRowsByDetector:
    """The recent rows of the detectors of a model; of the entities of a fleet, those used last.

    Rows of an entity that makes room are forgotten; its recalibrated threshold stays.

    Args:
        served: The model that scores them.
        folder: State folder of the model.
        on_recalibration: Callback that gets the record of each recalibration.
        most: Largest number of detectors whose rows are in memory, at least 1.
    """

    def __init__(self, served: ServedModel, folder: Path, on_recalibration: OnRecalibration, most: int) -> None:
        self._served, self._folder, self._on_recalibration, self._most = served, folder, on_recalibration, most
        self._rows: OrderedDict[str, RecentRows] = OrderedDict()
        self._lock = threading.Lock()
        for key in self._recalibrated():
            self.of(key)

    def of(self, key: str) -> RecentRows:
        """Returns the recent rows of the detector of a key; none if they are new or were forgotten.

        Raises:
            DetectorError: if the detector or its recalibrated threshold is damaged.
        """
        with self._lock:
            rows = self._rows.pop(key, None)
            if rows is None:
                served, share = self._served, self._most if self._served.detectors.is_fleet else 1
                rows = RecentRows(served.calibrated(key), self._state(key), self._on_recalibration, share)
            self._rows[key] = rows  # the last used comes last
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)
            return rows

    def loaded(self) -> list[RecentRows]:
        """Returns the recent rows that are in memory."""
        with self._lock:
            return list(self._rows.values())

    def _recalibrated(self) -> list[str]:
        """Returns the keys of the detectors whose threshold is to be restored, and that of an only detector."""
        detectors, entities = self._served.detectors, self._folder / ENTITIES
        if detectors.entities is None:
            return [ONLY]
        if not entities.is_dir():
            return []
        return [key for key in detectors.keys if (self._state(key) / THRESHOLD).is_file()]

    def _state(self, key: str) -> Path:
        """Returns the folder of the threshold of a detector; entities have the same one in each version of a fleet."""
        if key == ONLY:
            return self._folder
        name = self._served.detectors.keys[key]
        return self._folder / ENTITIES / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
