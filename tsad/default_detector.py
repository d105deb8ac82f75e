"""The default detector: the average of unlike closed forms that suits any data set, and that a search has to beat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsad.data.dataset import DataSet
from tsad.data.split import SplitSpec, split
from tsad.errors import TsadError
from tsad.lengths import filled, lengths, reach
from tsad.spec import parse, read_yaml
from tsad.windows import cut


def default_detector() -> dict[str, Any]:
    """Returns the values of the default detector, without `data`; `auto` in them is for `tsad.lengths.filled`."""
    return read_yaml(Path(__file__).with_suffix(".yaml"))


def fitting(values: Mapping[str, Any], data: DataSet) -> dict[str, Any] | None:
    """Returns the values of an average on a data set: numbers in place of `auto`, and the members that its rows suffice for.

    Members whose score looks at more rows than a part of the data has are left out; None if all are. The gap of the split
    is what the longest of the others looks at.
    """
    whole = filled(values, lengths(data))
    for rows in sorted({reach(member) for member in whole["members"]}, reverse=True):
        template = within(whole, rows)
        if template is None:
            return None
        template["split"] = {**template.get("split", {}), "gap": rows}
        try:
            parts = split(data, parse(SplitSpec, template["split"], "split"), rows)
            for part, needed in ((parts.fit, rows), (parts.validation, rows + 1), (parts.test, rows)):
                cut(part, needed)  # a threshold is fitted to two scores at least
        except (TsadError, ValueError):
            continue
        return template
    return None


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
