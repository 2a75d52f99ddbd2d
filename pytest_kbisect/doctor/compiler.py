"""The user's git tree, and whether this host's compiler and linker can build its ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect import host, process
from pytest_kbisect.doctor import Finding, Severity
from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import compilers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_kbisect.arch.architecture import ToolName, Version
    from pytest_kbisect.kernel.tree import LinuxTree


def check(path: Path | None, revisions: tuple[str, ...], cache: Path) -> Iterator[Finding]:
    """Check a tree and whether the compiler can build these revisions; without a tree the compiler only."""
    if not host.find("git") or path is None:
        if versions := _versions():
            yield _in_general(versions)
        return
    from pytest_kbisect.kernel.tree import LinuxTree

    try:
        tree = LinuxTree(path, cache)
        commits = {revision: tree.resolve(revision) for revision in revisions}
    except UsageError as error:
        yield Finding("tree", Severity.PROBLEM, str(error))
        return
    yield from _tree(tree, commits)
    if versions := _versions():
        for revision, commit in commits.items():
            yield from _at(tree, revision, commit, versions)


# -- the tree ------------------------------------------------------------------------------------------


def _tree(tree: LinuxTree, commits: Mapping[str, str]) -> Iterator[Finding]:
    found = []
    if tree.shallow:
        text = (
            f"{tree.path} is a shallow clone: ranges that begin before its oldest commit cannot be bisected"
        )
        found.append(Finding("tree", Severity.WARNING, text, f"git -C {tree.path} fetch --unshallow"))
    if _git(tree, "config", "--get-regexp", r"^remote\..*\.promisor$"):
        remedy = f"git -C {tree.path} fetch --refetch --no-filter (git 2.36 or newer)"
        text = f"{tree.path} is a partial clone: commits with missing objects cannot be built"
        lacking = [name for name, commit in commits.items() if _lacks_objects(tree, commit)]
        state = Severity.PROBLEM if lacking else Severity.WARNING
        found.append(Finding("tree", state, f"{text}{': ' if lacking else ''}{', '.join(lacking)}", remedy))
    if any(b"filter=lfs" in (contents(tree, commit, ".gitattributes") or b"") for commit in commits.values()):
        text = f"{tree.path} stores files in git LFS: worktrees contain only pointers to them"
        found.append(Finding("tree", Severity.WARNING, text, f"git -C {tree.path} lfs fetch --all"))
    yield from found or [Finding("tree", Severity.OK, str(tree.path))]


def _lacks_objects(tree: LinuxTree, commit: str) -> bool:
    listing = _git(tree, "rev-list", "--objects", "--missing=print", "--no-walk", commit) or b""
    return any(line.startswith(b"?") for line in listing.splitlines())


def contents(tree: LinuxTree, commit: str, path: str) -> bytes | None:
    """A file of a commit; None if there is none."""
    return _git(tree, "cat-file", "blob", f"{commit}:{path}")


def _git(tree: LinuxTree, *words: str) -> bytes | None:
    """The output of git; None if it fails."""
    status, output, _ = tree.ask(*words)
    return None if status else output


# -- the compiler --------------------------------------------------------------------------------------


def _versions() -> dict[ToolName, Version]:
    """The versions of gcc and ld; empty unless both are installed."""
    tools: tuple[ToolName, ...] = ("gcc", "ld")
    if not all(host.find(tool) for tool in tools):
        return {}
    return {
        tool: compilers.version_of(
            process.run([tool, "--version"]).decode("utf-8", "replace").partition("\n")[0]
        )
        for tool in tools
    }


def _written(versions: Mapping[ToolName, Version]) -> str:
    return ", ".join(f"{tool} {compilers.written(version)}" for tool, version in versions.items())


def _in_general(versions: Mapping[ToolName, Version]) -> Finding:
    oldest = compilers.oldest_kernel(versions["gcc"], versions["ld"])
    refused = compilers.first_refused(versions["gcc"])
    words = f"Linux {compilers.written(oldest)} and later" if oldest else "any version of Linux"
    words += f", before {compilers.written(refused)}" if refused else ""
    why = "; some older stable releases may build, too" if oldest else ""
    return Finding(
        "compiler", Severity.OK, f"{_written(versions)}: {words}{why} (name a KERNEL to check its source)"
    )


def _at(
    tree: LinuxTree, revision: str, commit: str, versions: Mapping[ToolName, Version]
) -> Iterator[Finding]:
    def read(path: str) -> bytes | None:
        return contents(tree, commit, path)

    builds = True
    for tool, version in versions.items():
        this = f"{tool} {compilers.written(version)}"
        if version < (needed := compilers.minimum(tool, read)):
            builds = False
            text = f"{this} is too old for {revision}, which requires {compilers.written(needed)}"
            yield Finding("compiler", Severity.PROBLEM, text, _another(tool, needed[0], newer=True))
        for trouble in compilers.troubles(tool, version, read):
            builds = builds and not trouble.fatal
            text = f"{this} is too new for {revision}: {trouble.words}; commit {trouble.repair} fixes this"
            state = Severity.PROBLEM if trouble.fatal else Severity.WARNING
            yield Finding("compiler", state, text, _another(tool, trouble.since[0] - 1, newer=False))
    if builds:
        yield Finding("compiler", Severity.OK, f"{_written(versions)}: no known problem with {revision}")


def _another(tool: ToolName, major: int, *, newer: bool) -> str:
    """How to use another compiler or linker: builds use the first gcc (ld) in PATH."""
    if tool == "ld":
        return f"use a distribution with {'newer' if newer else 'older'} binutils, in a container for example"
    here = [number for number in range(4, 40) if host.find(f"gcc-{number}")]
    fitting = [number for number in here if (number >= major if newer else number <= major)]
    name = f"gcc-{fitting[-1] if fitting else major}"
    install = "" if fitting else f"install {name}, then: "
    return f"{install}mkdir -p ~/{name} && ln -sf $(command -v {name}) ~/{name}/gcc && PATH=~/{name}:$PATH"
