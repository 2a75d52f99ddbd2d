"""Draws a recorded terminal as an SVG, as it was at one moment.

    script -c COMMAND TYPESCRIPT
    python docs/terminal.py TYPESCRIPT COMMAND UNTIL FROM TO > docs/images/terminal.svg

The picture has a prompt with COMMAND, and then what a terminal of COLUMNS columns showed when UNTIL was
printed for the first time. `...` stands for the lines from the first one with FROM to the last one with TO.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

COLUMNS = 104
LINE, CHARACTER = 18, 7.83
"""Pixels of a line and of a character, at 13 pixels."""

STYLE = """
:root { --paper: #fbfbfc; --ink: #1b1d20; --soft: #686e77; --bar: #e6e8eb; --bad: #a8380f; --good: #1c5b9c; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e4e6e9; --soft: #9aa1aa; --bar: #2a2e33;
  --bad: #ff9d73; --good: #8fbdf2; } }
text { font: 13px ui-monospace, "DejaVu Sans Mono", "SF Mono", Menlo, Consolas, monospace; fill: var(--ink);
  white-space: pre; }
.paper { fill: var(--paper); stroke: var(--bar); } .bar { fill: var(--bar); } .dot { fill: var(--soft); }
.prompt { fill: var(--good); font-weight: 600; } .soft { fill: var(--soft); } .answer { font-weight: 600; }
"""


def screen(recorded: str) -> list[str]:
    """The lines of a terminal after it was sent this; only what our output uses is understood."""
    lines = []
    for line in recorded.replace("\r\n", "\n").split("\n"):
        shown = ""
        for piece in line.split("\r"):
            _, erased, after = piece.rpartition("\x1b[K")
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", after if erased else piece)
            shown = text if erased else text + shown[len(text) :]
        lines.append(shown.rstrip())
    return lines


def wrapped(line: str) -> list[str]:
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def draw(command: str, lines: list[str]) -> str:
    rows = [("prompt", f"$ {command}")]
    for line in lines:
        style = "soft" if line.startswith(("#", "...")) else "answer" if "first bad commit" in line else ""
        rows += [(style, part) for part in wrapped(line)]
    width, height = round(COLUMNS * CHARACTER) + 32, LINE * len(rows) + 56
    dots = "".join(f'<circle class="dot" cx="{18 + 16 * at}" cy="14" r="4.5"/>' for at in range(3))
    texts = "\n".join(
        f'<text class="{style}" x="16" y="{50 + LINE * at}">{escape(text)}</text>'
        for at, (style, text) in enumerate(rows)
        if text
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img">\n<title>{escape(command)}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f'<path class="bar" d="M1 28V9a8 8 0 0 1 8-8h{width - 18}a8 8 0 0 1 8 8v19z"/>\n{dots}\n{texts}\n</svg>\n'
    )


def main(typescript: str, command: str, until: str, first: str, last: str) -> None:
    recorded = Path(typescript).read_bytes().decode(errors="replace").partition("\n")[2]
    moment = recorded.index(until)
    ends = [end for mark in "\r\n" if (end := recorded.find(mark, moment)) >= 0]
    lines = screen(recorded[: min(ends, default=len(recorded))])
    skip = next(at for at, line in enumerate(lines) if first in line)
    go_on = max(at for at, line in enumerate(lines) if last in line)
    sys.stdout.write(draw(command, [*lines[:skip], "...", *lines[go_on:]]))


if __name__ == "__main__":
    main(*sys.argv[1:])
