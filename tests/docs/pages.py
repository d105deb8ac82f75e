"""The README and the pages of the documentation, cut into blocks, commands and links."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"<!-- ((?:not )?test(?:ed)?: [^>]+) -->\s*$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Page that contains the block, relative to the repository.
        line: Line of the opening fence, counted from 1.
        language: Word after the opening fence.
        text: What is between the fences.
        marker: Text of the HTML comment right above, such as `not tested: needs a cluster`; empty if there is none.
    """

    page: str
    line: int
    language: str
    text: str
    marker: str

    @property
    def is_tested(self) -> bool:
        """Whether no comment above says that the block is not tested."""
        return not self.marker.startswith("not tested: ")

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """Returns the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(REPOSITORY).as_posix()
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start()) + 1,
            language=match[2],
            text=match[3],
            marker=marker[1] if (marker := _MARKER.search(text[: match.start()])) else "",
        )
        for match in _FENCE.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def blocks(*languages: str) -> list[Block]:
    """Returns the blocks of some languages that are tested."""
    return [block for block in BLOCKS if block.language in languages and block.is_tested]


def each(language: str) -> pytest.MarkDecorator:
    """Returns the decorator that runs a test on each tested block of a language."""
    return pytest.mark.parametrize("block", blocks(language), ids=str)


def commands_of(block: Block) -> Iterator[list[str]]:
    """Yields the words of each command of a shell block, without comments and without variables before the program."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


def without_fences(path: Path) -> str:
    """Returns the text of a page without its fenced blocks; the lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"))


def spans_of(path: Path) -> Iterator[str]:
    """Yields the inline code of a page."""
    yield from (" ".join(text.split()) for text in re.findall(r"`([^`]+)`", without_fences(path)))


def generated(text: str) -> str:
    """Returns a page with its generated tables, as the site shows it."""
    sys.path.insert(0, str(DOCS))
    try:
        import hooks
    finally:
        sys.path.remove(str(DOCS))
    return str(hooks.on_page_markdown(text))
