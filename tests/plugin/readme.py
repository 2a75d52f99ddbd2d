"""README.md taken apart: chapters, tables, code blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "README.md").read_text()

_HEADING = re.compile(r"^(#{1,4}) (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^(?:<!-- ([^>]*) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block; `mark` is the comment just before it."""

    language: str
    text: str
    mark: str
    chapter: str


def without_blocks(text: str) -> str:
    """Lines of code that begin with # are no headings."""
    return _BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)


def chapters() -> dict[str, str]:
    """Text by heading, each to the next heading of its level or above."""
    bare = without_blocks(TEXT)
    found = list(_HEADING.finditer(bare))
    answer = {}
    for at, heading in enumerate(found):
        ends = [other.start() for other in found[at + 1 :] if len(other[1]) <= len(heading[1])]
        answer[heading[2]] = TEXT[heading.end() : ends[0] if ends else len(TEXT)]
    return answer


def blocks(language: str) -> list[Block]:
    """The code blocks of a language, in order."""
    headings = [(heading.start(), heading[2]) for heading in _HEADING.finditer(without_blocks(TEXT))]
    return [
        Block(
            block[2],
            block[3],
            block[1] or "",
            [name for start, name in headings if start < block.start()][-1],
        )
        for block in _BLOCK.finditer(TEXT)
        if block[2] == language
    ]


def commands() -> list[str]:
    """Every command of the shell blocks, in order; continued lines are one."""
    return [
        line
        for block in blocks("sh")
        for line in block.text.replace("\\\n", "").splitlines()
        if line.strip() and not line.startswith("#")
    ]


def table(chapter: str) -> list[list[str]]:
    """The cells of all table rows of a chapter, without headers."""
    rows = []
    for line in chapters()[chapter].splitlines():
        if line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if set("".join(cells)) <= {"-", ":"}:
                rows.pop()  # what stands above the rule is the header
            else:
                rows.append(cells)
    return rows


def quoted(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def words(command: str) -> list[str]:
    """A command's words as the shell has them, without expanding anything."""
    return shlex.split(command)
