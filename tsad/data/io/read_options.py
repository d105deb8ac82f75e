"""Options by which the rows of a file are read, stored with a detector so that more files like its own are read alike."""

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
"""Name of the file in the folder of a detector, next to `detector.json`."""


class ReadOptions(EmptyCellOptions, TimeOptions, TextOptions):
    """The settings of `CsvSpec` by which a row is read as the training rows were, and the step between those.

    Features and their order are stored in the detector. What training inferred about its file (separator, decimal mark, unit of
    times) is left open and inferred anew for each file; whether the day comes first is stored, because a short file may not
    show it.

    Attributes:
        format: Version of the file that these options are stored in.
        step_seconds: Seconds from one row to the next; None where they are unknown or vary.
    """

    format: Literal["tsad-read-options-1"] = "tsad-read-options-1"
    step_seconds: float | None = Field(None, ge=1e-9)

    @classmethod
    def of(cls, spec: Spec, inferred: Mapping[str, Any], step_seconds: float | None) -> Self:
        """Returns the options by which a file was read.

        Args:
            spec: Spec with these settings, and possibly others.
            inferred: Settings that the spec left open and that the file decided, by name.
            step_seconds: Seconds from one row to the next.
        """
        settings = {name: getattr(spec, name) for name in cls.model_fields if name in type(spec).model_fields}
        return cls.model_validate({**settings, **inferred, "step_seconds": step_seconds})

    def save(self, folder: Path) -> None:
        """Writes `read_options.json` into the folder of a detector."""
        (folder / READ_OPTIONS).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Returns the options that `save` wrote, or ones that leave everything open if there are none.

        Raises:
            DetectorError: if the file cannot be read, or is damaged.
        """
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
