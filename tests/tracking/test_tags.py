"""Tags: every name is written in one module, and provenance says which labels were used."""

import ast
import re
from pathlib import Path

import tsad
from tsad.provenance import Provenance
from tsad.tracking.tags import Tag, provenance_tags

PACKAGE = Path(tsad.__file__).parent
TAGS = PACKAGE / "tracking/tags.py"
NAME = re.compile(r"\btsad\.[a-z_]+")
TEXTS_THAT_ARE_NO_TAGS = {"tsad.log"}


def names(path):
    """Yields the tag names in the texts of a module that are neither docstrings nor names of modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes:
            for name in NAME.findall(node.value):
                room = PACKAGE / name.removeprefix("tsad.")
                if not (room.is_dir() or room.with_suffix(".py").is_file() or name in TEXTS_THAT_ARE_NO_TAGS):
                    yield name


def test_the_reader_sees_the_names_of_tags():
    assert {"tsad.trial", "tsad.champion_trials", "tsad.search_fingerprint"} <= set(names(TAGS))


def test_no_other_module_writes_the_name_of_a_tag():
    written = {
        path.relative_to(PACKAGE).as_posix(): found for path in PACKAGE.rglob("*.py") if (found := [*names(path)])
    }
    assert written.keys() == {"tracking/tags.py"}, written


def test_no_two_tags_have_one_name():
    values = [value for name, value in vars(Tag).items() if name.isupper()]
    assert len(values) > 30
    assert len(set(values)) == len(values)
    assert all(value.startswith("tsad.") for value in values)


def test_provenance_tags_name_every_part_and_the_marks_that_hold():
    nothing = {f"tsad.labels_used.{part}": "nothing" for part in ("training", "threshold", "selection")}
    assert provenance_tags(Provenance()) == nothing
    assert provenance_tags(Provenance("development", "test", "selection")) == {
        "tsad.labels_used.training": "development",
        "tsad.labels_used.threshold": "test",
        "tsad.labels_used.selection": "selection",
        "tsad.supervised": "true",
        "tsad.oracle": "true",
    }
