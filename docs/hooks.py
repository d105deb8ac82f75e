"""What MkDocs does besides turning Markdown into pages: generated tables take the place of their markers."""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import configuration_tables
import reference_tables

REPOSITORY = Path(__file__).parents[1]
MARKER = re.compile(r"^<!-- generated: ([a-z ]+) -->$", flags=re.MULTILINE)


def changelog() -> str:
    """Returns the changelog of the repository without its heading."""
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.sub(r"^# .*\n", "", text, count=1)


GENERATED: dict[str, Callable[[], str]] = {
    **{
        f"api {group}": partial(reference_tables.api, group)
        for group in ("functions", "results", "events", "classes", "errors")
    },
    "changelog": changelog,
    "cli": reference_tables.command_line,
    "configuration": configuration_tables.configuration,
    "environment": reference_tables.environment,
    "metrics": reference_tables.metrics,
    "published data": reference_tables.published_data,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns the page with each marker replaced by what it names."""
    return MARKER.sub(lambda match: GENERATED[match[1]](), markdown)
