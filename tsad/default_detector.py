"""The default detector: the average of unlike closed forms that suits any data set, and that a search has to beat."""

from pathlib import Path
from typing import Any

from tsad.lengths import reach
from tsad.spec import read_yaml


def default_detector() -> dict[str, Any]:
    """Returns the values of the default detector, without `data`; `auto` in them is for `tsad.lengths.filled`."""
    return read_yaml(Path(__file__).with_suffix(".yaml"))


def within(values: dict[str, Any], rows: int) -> dict[str, Any] | None:
    """Returns the values of an average without the members whose score looks at more rows; None if none is left.

    One member that is left is a detector of its own, without members.

    Args:
        values: Values of an average, with numbers in place of `auto`.
        rows: Largest number of rows that a score may look at.
    """
    members = [member for member in values["members"] if reach(member) <= rows]
    others = {name: value for name, value in values.items() if name != "members"}
    if len(members) > 1:
        return {**others, "members": members}
    return {**others, **members[0]} if members else None
