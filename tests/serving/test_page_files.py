"""What the page must be, read from its files: self-contained, without inline code, whole."""

import re
from pathlib import Path

import tsad.serving

PAGE = Path(tsad.serving.__file__).with_name("page")


def source(*kinds):
    return {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir() if path.suffix in kinds}


def test_the_page_names_nothing_outside_the_service():
    texts = source(".html", ".js", ".css", ".svg")
    assert len(texts) > 5
    for name, text in texts.items():
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert "//" not in "".join(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s]*)", text)), name


def test_nothing_is_inline_that_the_content_policy_would_refuse():
    page = source(".html")["index.html"]
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", page)
    assert not re.findall(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", "".join(source(".js").values()))


def test_every_module_and_every_element_that_is_asked_for_is_there():
    page, modules = source(".html")["index.html"], source(".js")
    names, ids = re.findall(r'from "\./([^"]+)"', "".join(modules.values())), set(re.findall(r'\sid="([^"]+)"', page))
    asked = re.findall(r'find\("#([\w-]+)', "".join(modules.values())) + re.findall(r'\sfor="([^"]+)"', page)
    assert set(names) <= set(modules)
    assert len(asked) > 20
    assert set(asked) <= ids


def test_every_field_has_a_label():
    page = source(".html")["index.html"]
    fields = re.findall(r"(<label>)?<(input|select|textarea)([^>]*)>", page)
    assert len(fields) > 10
    for wrapped, _, attributes in fields:
        name = re.search(r'\sid="([^"]+)"', attributes)
        assert wrapped or "aria-label=" in attributes or (name and f'<label for="{name[1]}">' in page), attributes
