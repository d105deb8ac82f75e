"""Provenance: whose labels had a hand in what, from training to the report."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

LabelsUsed = Literal["nothing", "development", "selection", "test"]
"""Whose labels chose something, from harmless to not: nobody's; those of rows set apart to learn from; those of rows set
apart to choose among candidates; those of the very rows that are reported."""

_ORDER: tuple[LabelsUsed, ...] = ("nothing", "development", "selection", "test")


def worst(*used: LabelsUsed) -> LabelsUsed:
    """Returns the one that does most harm to a reported number; "nothing" of none."""
    return max(used, key=_ORDER.index, default="nothing")


@dataclass(frozen=True)
class Provenance:
    """Whose labels had a hand in a detector, part by part.

    Attributes:
        training: In its weights.
        threshold: In its threshold.
        selection: In the choice among candidates: model, sizes, post-processing.
    """

    training: LabelsUsed = "nothing"
    threshold: LabelsUsed = "nothing"
    selection: LabelsUsed = "nothing"

    @property
    def supervised(self) -> bool:
        """Whether labels trained it."""
        return self.training != "nothing"

    @property
    def oracle(self) -> bool:
        """Whether a label of the reported rows chose anything, so that the numbers of its flags cannot be had in production."""
        return self.worst == "test"

    @property
    def worst(self) -> LabelsUsed:
        """The part whose labels do most harm."""
        return worst(*self.parts().values())

    def parts(self) -> dict[str, LabelsUsed]:
        """Returns the three parts by name."""
        return {"training": self.training, "threshold": self.threshold, "selection": self.selection}

    @property
    def sentence(self) -> str:
        """What a reader of the numbers must know, in one sentence."""
        touched = [
            f"those of the {used} rows in the {part}" for part, used in self.parts().items() if used != "nothing"
        ]
        if not touched:
            return "No label had a hand in training, threshold or the choice of the detector."
        conclusion = "so what its flags are worth is an oracle" if self.oracle else "none of them of a reported row"
        return f"Labels had a hand: {'; '.join(touched)}; {conclusion}."


DECIDING = (
    "data",
    "detector",
    "evaluation",
    "experiment.py",
    "losses",
    "masking.py",
    "models",
    "selection",
    "series.py",
    "spec.py",
    "sweep.py",
    "thresholds",
    "training",
    "windows.py",
)
"""Files and folders of the package whose code decides the result of a trial; all others only run, track, serve or show it."""


@cache
def code_version() -> str:
    """Returns a hash of the code that decides results, and of the version of PyTorch; equal code has equal hashes.

    Finished trials are reused only under an equal code version. Rooms outside `DECIDING`, such as the command line or the
    service, do not enter it, so a change there makes no search train again.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256(metadata.version("torch").encode())
    paths = [
        path
        for name in DECIDING
        for path in ([package / name] if name.endswith(".py") else (package / name).rglob("*.py"))
    ]
    for path in sorted(paths):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
