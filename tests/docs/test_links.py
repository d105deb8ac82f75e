"""Links, anchors and pictures of README and docs lead somewhere, and each page is in the navigation."""

import re
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

from tests.docs.pages import DOCS, PAGES, REPOSITORY, generated, without_fences

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())


CONFIG = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))


def nav_pages(entry):
    """Yields the pages of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for below in entry.values() if isinstance(entry, dict) else entry:
            yield from nav_pages(below)


def anchors_of(path):
    """Returns the anchors of the headings of a page."""
    text = path.read_text(encoding="utf-8")
    text = generated(text) if path.is_relative_to(DOCS) and "<!-- generated: " in text else text
    headings = re.findall(r"^#+ (.*?)(?: \{#([\w-]+)\})?$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {anchor or slugify(re.sub(r"[`*]|\]\(.*?\)|\[", "", title), "-") for title, anchor in headings}


def links_of(path):
    """Returns the targets of links and pictures, those of whole addresses not included."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_fences(path))
    return [target for target in targets if not re.match(r"https?://|mailto:", target)]


@every_page
def test_a_link_leads_to_a_file_and_an_anchor(path):
    for target in links_of(path):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.is_file(), target
        assert not anchor or anchor in anchors_of(file), target


@every_page
def test_a_page_has_one_title(path):
    assert len(re.findall(r"^# ", without_fences(path), flags=re.MULTILINE)) == 1


@every_page
def test_a_picture_has_a_text_for_those_who_do_not_see_it(path):
    for text in re.findall(r"!\[([^\]]*)\]\(", without_fences(path)):
        assert len(text) > 10


def test_every_page_is_in_the_navigation_once():
    pages = list(nav_pages(CONFIG["nav"]))
    assert sorted(pages) == [path.relative_to(DOCS).as_posix() for path in PAGES if path.is_relative_to(DOCS)]


def test_every_picture_is_shown():
    shown = {(path.parent / target).resolve() for path in PAGES for target in links_of(path)}
    assert set(DOCS.rglob("*.png")) <= shown


def test_nothing_is_loaded_from_elsewhere():
    assert CONFIG["theme"]["font"] is False
    assert not [name for name in CONFIG.get("extra_javascript", []) if Path(name).is_absolute() or "//" in name]
    assert not [name for name in CONFIG["extra_css"] if "//" in name]
