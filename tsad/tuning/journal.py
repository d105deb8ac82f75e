"""The journal of a search: every event is on the disk before it has any effect, so that an interrupted search can resume."""

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
"""Name of the journal in the folder of a search."""

_STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, config=_STRICT)
class ProposedEvent:
    """A search algorithm has proposed a candidate.

    Attributes:
        candidate: The proposed candidate.
    """

    candidate: Candidate
    event: Literal["proposed"] = "proposed"


@checked(frozen=True, config=_STRICT)
class EndedEvent:
    """A trial has ended.

    Attributes:
        trial: The trial with its candidate.
        files: Folder that holds the files of the trial, None if it left none.
    """

    trial: Trial
    files: Path | None
    event: Literal["ended"] = "ended"


Event = ProposedEvent | EndedEvent
"""An event of a search; a line of the journal."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Journal:
    """A file with one line of JSON for each event, which is on the disk (`fsync`) before `write` returns.

    A last line without an end was cut off by a kill. It is no event: nothing has happened because of it.

    Attributes:
        path: Path of the file; the first event creates it and its folder.
    """

    path: Path

    def write(self, event: Event) -> None:
        """Appends an event."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(_EVENT.dump_python(event, mode="json")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def replace(self, events: list[Event]) -> None:
        """Writes the events in place of what the file holds; a kill leaves the one or the other."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        for event in events:
            Journal(new).write(event)
        new.replace(self.path)

    def read(self) -> list[Event]:
        """Returns the events in their order, none if there is no file; removes an incomplete last line from the file.

        Raises:
            TsadError: if a complete line is not an event.
        """
        if not self.path.is_file():
            return []
        content = self.path.read_bytes()
        complete = _complete_lines(content)
        if len(complete) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(complete))
        return list(self._events(complete))

    def peek(self) -> list[Event]:
        """Returns the events so far, as `read` does, and leaves the file as it is, for readers next to a running search."""
        return list(self._events(_complete_lines(self.path.read_bytes()))) if self.path.is_file() else []

    def _events(self, content: bytes) -> Iterator[Event]:
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                yield _EVENT.validate_json(line)
            except ValidationError as error:
                raise TsadError(
                    f"{self.path}: line {number} must be an event of a search, but {error.errors()[0]['msg']}; search "
                    f"without --resume"
                ) from None


def _complete_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
