"""A kernel without make: that of another commit, if no file that was read for it differs in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.kernel.store import Entry, Store
    from pytest_kbisect.kernel.tree import LinuxTree

NEAREST: Final = 8
"""Built kernels that are compared with a commit: a git process of some 10 ms each, more for far ones."""
RECENT: Final = 64
"""Ancestors of a commit whose kernels are compared first: rebased commits all have the same date."""


def take_over(
    store: Store,
    key: str,
    family: str,
    tree: LinuxTree,
    commit: str,
    progress: Callable[[str], None],
    *,
    of: str,
) -> Entry | None:
    """A new entry that shares the files of a built kernel, if a build of this commit would give that kernel.

    `of` is the commit of the user's that it stands for. Call it inside store.building(key).
    """
    keys = store.built(family)
    if not keys:
        return None
    ancestors = [sha for sha in tree.recent(commit, RECENT) if sha in keys][: NEAREST // 2]
    for built in dict.fromkeys([*ancestors, *tree.nearest(commit, list(keys), NEAREST)]):
        entry = store.lookup(keys[built])
        if entry is None:
            continue
        with entry:
            read = sources.read(entry.folder / sources.FILE, whole=True)
            if not read.targets:
                continue
            try:
                changes = tree.changes(built, commit)
            except UsageError:  # pruned from the user's repository
                continue
            if any(read.matters(change) for change in changes):
                continue
            same_as = entry.facts.get("of", built)
            progress(f"no build: nothing that was read for {same_as[:12]} differs, its kernel is taken")
            files = {name: entry.folder / name for name in entry.facts["sizes"]}
            facts = {name: fact for name, fact in entry.facts.items() if name != "sizes"}
            return store.add(key, files, facts | {"commit": commit, "of": of, "same_as": same_as}, link=True)
    return None
