"""Names say what they hold: all-purpose nouns are no names of variables, parameters, attributes or functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "tsad"
FILES = sorted(PACKAGE.rglob("*.py"))

BANNED = {"place", "places", "found", "each", "told", "known", "wanted", "kept", "made", "given"}
"""Names that say nothing of what they hold."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields line and name of every name that a file binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def banned(text: str) -> list[tuple[int, str]]:
    return [(line, name) for line, name in names(ast.parse(text)) if name.strip("_") in BANNED]


def test_the_reader_of_names_sees_a_banned_one():
    assert banned("def f(place):\n    for each in place:\n        _found = each\n") == [
        (1, "place"),
        (2, "each"),
        (3, "_found"),
    ]
    assert not banned("def f(row):\n    return each(row)\n")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_name_says_what_it_holds(path):
    assert not banned(path.read_text(encoding="utf-8"))


FRAGMENT = re.compile(r"^ +\w+: (?:Of|Likewise|That|Who|Its|Those)\b", re.MULTILINE)
"""A line about an argument or attribute that is no sentence of its own: an editor shows it alone."""


def test_a_fragment_is_seen():
    assert FRAGMENT.search("    Attributes:\n        folder: Of theirs.\n")
    assert not FRAGMENT.search("    Attributes:\n        folder: Folder of the jobs.\n")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_lines_about_arguments_and_attributes_stand_alone(path):
    assert FRAGMENT.findall(path.read_text(encoding="utf-8")) == []


QUESTION = re.compile(r'"""(?:How|What|Which|Where|Why|Who) ')
"""The start of a docstring that is half a question, where a noun phrase would name the thing."""


def test_a_question_is_seen():
    assert QUESTION.search('"""How windows are cut."""')
    assert not QUESTION.search('"""Windows of a series."""')


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_docstring_names_its_thing(path):
    assert QUESTION.findall(path.read_text(encoding="utf-8")) == []
