"""Detectors that are read from their folders when somebody asks for them; those used last stay in memory."""

import threading
from collections import OrderedDict
from pathlib import Path

from tsad.detector.detector import Detector

MOST = 64
"""Number of detectors in memory, unless another number is set."""


class LoadedDetectors:
    """Detectors of folders, of which a bounded number is in memory. It may be used by several threads.

    Whoever holds a detector keeps it whole, also after another one has taken its room.

    Args:
        most: Largest number of detectors in memory, at least 1; the one that was not used for longest makes room.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._detectors: OrderedDict[Path, Detector] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._detectors)

    def __contains__(self, folder: Path) -> bool:
        return folder in self._detectors

    def get(self, folder: Path) -> Detector:
        """Returns the detector that is saved in a folder; raises `DetectorError` if it is damaged."""
        with self._lock:
            if folder in self._detectors:
                self._detectors.move_to_end(folder)
                return self._detectors[folder]
        return self.put(folder, Detector.load(folder))  # others need not wait for the disk

    def put(self, folder: Path, detector: Detector) -> Detector:
        """Returns the detector of a folder that is in memory from now on: this one, unless another thread was faster."""
        with self._lock:
            detector = self._detectors.setdefault(folder, detector)
            self._detectors.move_to_end(folder)
            while len(self._detectors) > self.most:
                self._detectors.popitem(last=False)
        return detector
