"""What has happened in a search, written down before anybody is told, so that a killed search can go on."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from tsad.errors import TsadError
from tsad.selection.trial import Candidate, Trial

JOURNAL = "journal.jsonl"
"""Its name in the folder of a search."""

_STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, config=_STRICT)
class ProposedEvent:
    """A search algorithm has proposed a candidate."""

    candidate: Candidate
    event: Literal["proposed"] = "proposed"


@checked(frozen=True, config=_STRICT)
class EndedEvent:
    """A trial has ended.

    Attributes:
        trial: With its candidate.
        files: Folder of its files, None if it left none.
    """

    trial: Trial
    files: Path | None
    event: Literal["ended"] = "ended"


Event = ProposedEvent | EndedEvent
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Journal:
    """A file with a line for each event, on the disk (`fsync`) before `write` returns.

    A line that a kill cut off is no event: what it would have told did not happen.
    """

    path: Path

    def write(self, event: Event) -> None:
        """Adds an event."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(_EVENT.dump_python(event, mode="json")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Event]:
        """Returns the events in their order, none if there is no file; cuts off half a line at the end.

        Raises:
            TsadError: if a whole line is not an event.
        """
        if not self.path.is_file():
            return []
        content = self.path.read_bytes()
        whole = _whole(content)
        if len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return list(self._events(whole))

    def glance(self) -> list[Event]:
        """Returns the events so far, as `read`, and leaves the file alone: for one who looks on while another writes."""
        return list(self._events(_whole(self.path.read_bytes()))) if self.path.is_file() else []

    def _events(self, content: bytes) -> Iterator[Event]:
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                yield _EVENT.validate_json(line)
            except ValidationError as error:
                raise TsadError(
                    f"{self.path}: line {number} must be an event of a search, but {error.errors()[0]['msg']}; search "
                    f"without --resume"
                ) from None


def _whole(content: bytes) -> bytes:
    """Returns the lines that have an end."""
    return content[: content.rfind(b"\n") + 1]
