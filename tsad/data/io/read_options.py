"""The reading of the training rows, stored with a detector so that more files like their own are read alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from tsad.data.io.reading import ReadingSpec
from tsad.errors import DetectorError

READ_OPTIONS = "read_options.json"
"""Name of the file in the folder of a detector, next to `detector.json`."""


class ReadOptions(ReadingSpec):
    """The settings of `CsvSpec` by which rows are read as the training rows were, and the step between those.

    What training inferred about its file (separator, decimal mark, unit of times) is left open and inferred anew for each file;
    whether the day comes first is stored, because a short file may not show it.

    Attributes:
        format: Version of the file that these options are stored in.
        step_seconds: Usual seconds from one row to the next, which gaps are measured by; None without times.
    """

    format: Literal["tsad-read-options-1"] = "tsad-read-options-1"
    step_seconds: float | None = Field(None, ge=1e-9)

    @property
    def is_streamable(self) -> bool:
        """Whether rows can be read one after the other: none is moved, merged or inserted, and no later row is needed."""
        return (
            self.unsorted == "error"
            and self.stray_times != "drop"
            and self.duplicates == "error"
            and self.resample is None
            and self.gaps != "fill"
            and self.missing != "interpolate"
            and self.outages == "error"
            and self.univariate == "as_is"
            and self.entity is None
            and self.pivot is None
        )

    @classmethod
    def of(
        cls, spec: ReadingSpec, features: Sequence[str], inferred: Mapping[str, Any], step_seconds: float | None
    ) -> Self:
        """Returns the options by which a file was read.

        Args:
            spec: Spec with these settings.
            features: Names of the features, as they were before `univariate`.
            inferred: Settings that the spec left open and that the file decided, by name.
            step_seconds: Usual seconds from one row to the next.
        """
        settings = {name: getattr(spec, name) for name in ReadingSpec.model_fields} | dict(inferred)
        settings |= {"features": tuple(features), "step_seconds": step_seconds}
        if spec.missing == "drop_column":
            settings["missing"] = "error"  # the columns without empty cells are named in features
        return cls.model_validate(settings)

    def for_scoring(self) -> Self:
        """Returns the same reading of unlabeled rows, with no column but those that it needs."""
        return self.model_copy(update={"label": None, "normal": None, "ignore": (), "sentinels": "keep"})

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
