"""README and docs use the words of the field: those that were replaced do not come back."""

import re

import pytest

from tests.docs.pages import PAGES, REPOSITORY

REPLACED = (
    *(
        "ageing",
        "behaviour",
        "cancelled",
        "colour",
        "favour",
        "initialise",
        "labelled",
        "licence",
        "maximise",
        "minimise",
    ),
    *("neighbour", "normalise", "optimise", "organisation", "recognise", "regularised", "summarise"),
    *("designer", "gene", "genes", "misfit", "nobody", "panel", "place that", "rows_after", "rows_before", "surprise"),
    *("trivial", "verdict", "verdicts", "had a hand in", "comes to", "goes on", "go on"),
)
"""Words that stand in none of our texts; the glossary and the configuration reference have the ones in use."""

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())


@every_page
def test_a_replaced_word_does_not_come_back(path):
    text = path.read_text(encoding="utf-8")
    found = {word for word in REPLACED if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE)}
    assert not found


def glossary_terms():
    return re.findall(
        r"^([^\n:#<].*)\n:   ", (REPOSITORY / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_glossary_is_in_alphabetical_order():
    terms = [term.lower() for term in glossary_terms()]
    assert len(terms) > 30
    assert terms == sorted(terms)


@pytest.mark.parametrize("term", ["deployable", "entity", "gate", "oracle", "provenance", "rung"])
def test_the_glossary_defines_an_idea_of_our_own(term):
    assert term in glossary_terms()
