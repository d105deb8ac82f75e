"""What mkdocstrings does with our docstrings: the section `Example:` is shown as code, as `Examples:` is."""

import re
from typing import Any

import griffe


class DocstringExamples(griffe.Extension):
    """Renames the section `Example:` to `Examples:`, whose lines griffe reads as a session of Python."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
