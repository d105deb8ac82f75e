"""Provenance: rows whose labels were used, in training, for the threshold and to select a detector."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

LabelsUsed = Literal["nothing", "sibling", "development", "selection", "test"]
"""Rows whose labels were used, from harmless to harmful: none; `sibling`, rows of other series with the same columns;
`development`, rows set apart to learn from; `selection`, rows set apart to choose among candidates; `test`, the very rows
that are reported."""

_ORDER: tuple[LabelsUsed, ...] = ("nothing", "sibling", "development", "selection", "test")


def worst(*used: LabelsUsed) -> LabelsUsed:
    """Returns the most harmful use of labels among those given, and "nothing" if there is none."""
    return max(used, key=_ORDER.index, default="nothing")


@dataclass(frozen=True)
class Provenance:
    """Rows whose labels were used to make a detector, part by part.

    Attributes:
        training: Rows whose labels were used to train the weights.
        threshold: Rows whose labels were used to choose the threshold.
        selection: Rows whose labels were used to choose among candidates: model, sizes, post-processing.
    """

    training: LabelsUsed = "nothing"
    threshold: LabelsUsed = "nothing"
    selection: LabelsUsed = "nothing"

    @property
    def supervised(self) -> bool:
        """Whether labels were used in training."""
        return self.training != "nothing"

    @property
    def oracle(self) -> bool:
        """Whether labels of the reported rows were used, so that metrics of its flags cannot be reached in production."""
        return self.worst == "test"

    @property
    def worst(self) -> LabelsUsed:
        """The most harmful use of labels among the three parts."""
        return worst(*self.parts().values())

    def parts(self) -> dict[str, LabelsUsed]:
        """Returns the three parts by name."""
        return {"training": self.training, "threshold": self.threshold, "selection": self.selection}

    @property
    def sentence(self) -> str:
        """Sentence that says which labels were used, and whether the metrics are therefore an oracle."""
        used = [
            f"those of the {rows} rows {_PURPOSES[part]}" for part, rows in self.parts().items() if rows != "nothing"
        ]
        if not used:
            return "No labels were used in training, in the threshold or to select the detector."
        result = (
            "metrics of its flags are therefore an oracle" if self.oracle else "none of them belongs to a reported row"
        )
        return f"Labels were used: {'; '.join(used)}; {result}."


_PURPOSES = {"training": "in training", "threshold": "in the threshold", "selection": "to select the detector"}


DECIDING = (
    "config.py",
    "data",
    "detector",
    "evaluation",
    "experiment.py",
    "fitting.py",
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
