"""README.md and the pages of docs/ taken apart: chapters, tables, code blocks, and the commands in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_HEADING = re.compile(r"^(#{1,4}) (.+)$", re.MULTILINE)
_BLOCK = re.compile(
    r"^(?:(?P<pad> *)<!-- (?P<mark>[^>]*) -->\n)?(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_TOCTREE = re.compile(r"^:::\{toctree\}\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A code block; `mark` is the comment just before it."""

    language: str
    text: str
    mark: str
    chapter: str
    page: str

    @property
    def lines(self) -> list[str]:
        """The lines that say something; continued ones are one."""
        return [line for line in self.text.replace("\\\n", "").splitlines() if line.strip()]

    @property
    def commands(self) -> list[str]:
        """Of a shell block."""
        return [line for line in self.lines if not line.startswith("#")]


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def _headings(self) -> list[re.Match[str]]:
        # Lines of code that begin with # are no headings.
        bare = _BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), self.text)
        return list(_HEADING.finditer(bare))

    @property
    def chapters(self) -> dict[str, str]:
        """Text by heading, each to the next heading of its level or above."""
        answer = {}
        for at, heading in enumerate(self._headings):
            ends = [other.start() for other in self._headings[at + 1 :] if len(other[1]) <= len(heading[1])]
            answer[heading[2]] = self.text[heading.end() : ends[0] if ends else len(self.text)]
        return answer

    @property
    def anchors(self) -> set[str]:
        """What a link may name after #, as GitHub and MyST make it of a heading."""
        return {re.sub(r"[^\w\- ]", "", heading[2].lower()).replace(" ", "-") for heading in self._headings}

    @property
    def links(self) -> list[str]:
        """The targets of its links and pictures, but for those on the web."""
        found = ["".join(link) for link in _LINK.findall(self.text)]
        return [link for link in found if not re.match(r"https?:|mailto:", link)]

    @cached_property
    def blocks(self) -> list[Block]:
        """All code blocks, in order."""
        return [
            Block(
                block["language"],
                textwrap.dedent(block["text"]),
                block["mark"] or "",
                next((h[2] for h in reversed(self._headings) if h.start() < block.start()), ""),
                self.name,
            )
            for block in _BLOCK.finditer(self.text)
        ]

    def table(self, chapter: str = "") -> list[list[str]]:
        """The cells of all table rows of a chapter (of the page), without headers."""
        rows: list[list[str]] = []
        for line in (self.chapters[chapter] if chapter else self.text).splitlines():
            if line.startswith("|"):
                cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                if set("".join(cells)) <= {"-", ":"}:
                    rows.pop()  # what stands above the rule is the header
                else:
                    rows.append(cells)
        return rows


@cache
def page(name: str) -> Page:
    """A page by its path in the repository: `README.md`, `docs/tutorial.md`."""
    return Page(ROOT / name)


@cache
def pages() -> tuple[Page, ...]:
    """README.md, then the pages of docs/ in the order in which a reader comes to them."""
    return (page("README.md"), *_from(page("docs/index.md")))


def _from(first: Page) -> list[Page]:
    """A page and those of its table of contents."""
    found = [first]
    for entries in _TOCTREE.findall(first.text):
        for entry in entries.split():
            if not entry.startswith(":"):
                found += _from(page(str((first.path.parent / f"{entry}.md").relative_to(ROOT))))
    return found


def blocks(language: str) -> list[Block]:
    """The code blocks of a language on all pages, in order, each text once."""
    found: dict[str, Block] = {}
    for one in pages():
        for block in one.blocks:
            if block.language == language:
                found.setdefault(block.text, block)
    return list(found.values())


def commands() -> list[str]:
    """Every command of the shell blocks, in order."""
    return [line for block in blocks("sh") for line in block.commands]


def quoted(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def plugin(name: str) -> str:
    """The text of the plugin that a page shows under this file name, marked as played by a test."""
    (block,) = [block for block in blocks("python") if block.mark == f"played by a test: {name}"]
    assert len(block.text.splitlines()) <= 50, f"{name} is no short example any more"
    return textwrap.dedent(block.text)
