"""Search spaces from where a user has them: a file, values, nothing but rows, or an earlier search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsad.data.sets.csv import CsvSpec
from tsad.errors import SpecError
from tsad.spec import parse, put, read_yaml
from tsad.tracking.failures import store_failures
from tsad.tracking.search_files import read_space as logged_space
from tsad.tracking.search_runs import interrupted_run
from tsad.tuning.spec import SearchConfig, parse_search
from tsad.workflows.context import Context
from tsad.workflows.inputs import Rows
from tsad.workflows.templates import search_on

SpaceSource = str | Path | Mapping[str, Any] | SearchConfig
"""A search: path of a search space's YAML file, its plain values, or the parsed config."""


def read_space(
    space: SpaceSource | None, overrides: Mapping[str, Any], rows: Rows, context: Context, run_id: str | None = None
) -> SearchConfig:
    """Returns the config of a search.

    Args:
        space: Space of the search; None takes that of the run, else the quickstart space.
        overrides: Values by path.
        rows: Rows that replace those of the space.
        context: Context of the workflow.
        run_id: Run of a search that is resumed, which has logged its space; None for any other.

    Raises:
        SpecError: if there is no such space, or it is not valid.
    """
    section = rows.section(context.settings)
    if isinstance(space, SearchConfig):
        if overrides or section is not None:
            raise SpecError(
                "a parsed SearchConfig is complete, but overrides or data came with it; pass its values instead"
            )
        return space
    if space is None and run_id is not None:
        with store_failures(context.store.uri):
            interrupted_run(context.store, run_id)
            name, values = logged_space(context.store, run_id)
        source = f"search {run_id}"
    elif space is None:
        if section is None:
            raise SpecError(
                "the quickstart space needs rows, but data is missing; pass data, or the path of a search space"
            )
        rows_of_section = context.load_data(parse(CsvSpec, section, "data"))
        name, source, values = "quickstart", "quickstart", search_on({"data": section}, rows_of_section)
    elif isinstance(space, str | Path):
        name, source, values = Path(space).stem, str(space), read_yaml(Path(space))
    else:
        name, source, values = "search", "search space", dict(space)
    if section is not None:
        values = {**values, "data": section}
    return parse_search(put(values, overrides), name, source)
