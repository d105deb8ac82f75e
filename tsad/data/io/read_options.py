"""How rows of files are read, kept beside the detector that learned from one, so that others of its form are read alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from tsad.data.io.empty_cells import EmptyCellOptions
from tsad.data.io.text import TextOptions
from tsad.data.io.times import TimeOptions
from tsad.errors import DetectorError
from tsad.spec import Spec

READ_OPTIONS = "read_options.json"
"""Stands beside `detector.json`."""


class ReadOptions(EmptyCellOptions, TimeOptions, TextOptions):
    """The settings of `CsvSpec` that a row needs to be read as those of the training were, and the step between those.

    Features and their order are the detector's own. What the training found out by itself (separator, decimal mark, unit of
    times) is left open, to be found out of each file anew; whether the day comes first is not, since a short file may not tell.

    Attributes:
        format: Of the file that it is kept in.
        step_seconds: From one row to the next; None where nobody knows or it varies.
    """

    format: Literal["tsad-read-options-1"] = "tsad-read-options-1"
    step_seconds: float | None = Field(None, ge=1e-9)

    @classmethod
    def of(cls, spec: Spec, settled: Mapping[str, Any], step_seconds: float | None) -> Self:
        """Returns how a file was read.

        Args:
            spec: Has the settings, and may have others.
            settled: Those that were left open and that the file decided.
            step_seconds: From one row to the next.
        """
        told = {name: getattr(spec, name) for name in cls.model_fields if name in type(spec).model_fields}
        return cls.model_validate({**told, **settled, "step_seconds": step_seconds})

    def save(self, folder: Path) -> None:
        """Writes `read_options.json`."""
        (folder / READ_OPTIONS).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Returns what `save` wrote, one that leaves all open if there is nothing; raises `DetectorError` if it is damaged."""
        path = folder / READ_OPTIONS
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes(), strict=True)
        except OSError as error:
            raise DetectorError(f"{path}: cannot be read ({error.strerror}); see that it may be read") from None
        except ValidationError as error:
            item = error.errors(include_url=False, include_input=False)[0]
            raise DetectorError(
                f"{path}: must say how rows are read, but {'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}; train "
                f"again, or remove it and say so with each file"
            ) from None
