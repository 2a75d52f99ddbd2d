"""Real git repositories with histories of any shape, made by one `git fast-import`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pytest_kbisect.history.candidates import History
from pytest_kbisect.kernel.tree import LOG_LINE

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path


def git(repo: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(repo), *args], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def make_repo(
    path: Path,
    parents: Sequence[Sequence[int]],
    dates: Sequence[int],
    titles: Sequence[str] | None = None,
) -> Path:
    """A bare repository; commit 0 is tagged A, the last B."""
    subprocess.run(["git", "init", "-q", "--bare", "--template=", "-b", "master", str(path)], check=True)
    stream = []
    for i, (row, date) in enumerate(zip(parents, dates, strict=True)):
        title = titles[i] if titles else f"commit {i}"
        stream.append("" if row else "reset refs/heads/master\n")
        stream.append(f"commit refs/heads/master\nmark :{i + 1}\ncommitter A <a@b> {date} +0000\n")
        stream.append(f"data {len(title.encode())}\n{title}\n")
        stream += [f"{'merge' if n else 'from'} :{p + 1}\n" for n, p in enumerate(row)]
    stream.append(f"reset refs/tags/A\nfrom :1\n\nreset refs/tags/B\nfrom :{len(parents)}\n\n")
    subprocess.run(
        ["git", "-C", str(path), "fast-import", "--quiet"], input="".join(stream), text=True, check=True
    )
    return path


def read_history(repo: Path) -> History:
    """The history of A..B, as LinuxTree.log_text gives it."""
    log = ["log", "--topo-order", "--reverse", f"--format={LOG_LINE}", "A..B", "--"]
    done = subprocess.run(["git", "-C", str(repo), *log], capture_output=True, text=True, check=True)
    return History.from_log(done.stdout)


def random_parents(rng: random.Random, size: int, merges: float = 0.25) -> list[tuple[int, ...]]:
    """A connected graph with one root (0), in which the last commit contains nearly all."""
    rows: list[tuple[int, ...]] = [()]
    tips = [0]
    for i in range(1, size):
        if i == size - 1:
            rows.append(tuple(tips[:3] if len(tips) > 1 else tips))
        elif len(tips) > 1 and rng.random() < merges:
            count = 3 if len(tips) > 2 and rng.random() < 0.1 else 2
            joined = rng.sample(tips, count)
            rows.append(tuple(joined))
            tips = [tip for tip in tips if tip not in joined] + [i]
        elif rng.random() < merges * 1.2 and len(tips) < 6:
            rows.append((rng.choice(tips) if rng.random() < 0.5 else rng.randrange(i),))
            tips.append(i)
        else:
            at = rng.randrange(len(tips))
            rows.append((tips[at],))
            tips[at] = i
    return rows
