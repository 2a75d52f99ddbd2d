"""The user's git tree, and whether this host's compiler and linker can build its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect import host
from pytest_kbisect.arch import DEFAULT, Architecture
from pytest_kbisect.doctor import Finding, Severity
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel import compiler_choice, compilers, config, remedies, toolchain
from pytest_kbisect.kernel.range_remedies import contents
from pytest_kbisect.kernel.rules import ANY, CompilerName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree


def check(
    path: Path | None, revisions: tuple[str, ...], cache: Path, wanted: Wanted | None = None
) -> Iterator[Finding]:
    """Check a tree and whether the compiler can build these revisions; without a tree the compiler only."""
    wanted = wanted or Wanted()
    tools = _toolchain(wanted)
    if not host.find("git") or path is None:
        if isinstance(tools, Finding):
            yield tools
        elif tools is not None:
            yield _in_general(tools, wanted)
        return
    from pytest_kbisect.kernel.tree import LinuxTree

    try:
        tree = LinuxTree(path, cache)
        commits = {revision: tree.resolve(revision) for revision in revisions}
    except UsageError as error:
        yield Finding("tree", Severity.PROBLEM, str(error))
        return
    yield from _tree(tree, commits)
    if isinstance(tools, Finding):
        yield tools
    elif tools is not None:
        yield from _of_tree(tree, commits, wanted)


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


def _git(tree: LinuxTree, *words: str) -> bytes | None:
    """The output of git; None if it fails."""
    status, output, _ = tree.ask(*words)
    return None if status else output


# -- the compiler --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The compiler that the user asks for, and the architecture to build for."""

    compiler: CompilerName = ANY
    architecture: Architecture = DEFAULT
    remedies: bool = True


def _toolchain(wanted: Wanted) -> Toolchain | Finding | None:
    """The tools; a finding where they cannot be used, None where the check of tools says what is missing."""
    if any(not tool.optional for tool in host.missing(host.Purpose.BUILD)):
        return None
    try:
        return toolchain.find(wanted.architecture, wanted.compiler)
    except UsageError as error:
        return Finding("compiler", Severity.PROBLEM, str(error))
    except HostError as error:
        if wanted.compiler == ANY and wanted.architecture.is_native():
            return None
        return Finding("compiler", Severity.PROBLEM, str(error))


def _written(tools: Toolchain) -> str:
    known = {tool: version for tool, version in tools.versions.items() if tool != "host gcc"}
    words = ", ".join(f"{tool} {compilers.written(version)}" for tool, version in known.items())
    return words if "ld" in known else f"{words} and LLVM's tools"


def _in_general(tools: Toolchain, wanted: Wanted) -> Finding:
    architecture = wanted.architecture
    oldest = compilers.oldest_kernel(tools.versions, architecture, remedied=wanted.remedies)
    plain = compilers.oldest_kernel(tools.versions, architecture)
    refused = compilers.first_refused(tools.versions["gcc"]) if "gcc" in tools.versions else ()
    words = f"Linux {compilers.written(oldest)} and later" if oldest else "Linux of any age"
    words += f", before {compilers.written(refused)}" if refused else ""
    words += f"; before {compilers.written(plain)} with remedies" if plain > oldest else ""
    words += "; stable releases may reach further back" if oldest else ""
    return Finding("compiler", Severity.OK, f"{_written(tools)}: {words} (name a KERNEL to look into it)")


def _of_tree(tree: LinuxTree, commits: Mapping[str, str], wanted: Wanted) -> Iterator[Finding]:
    """What the tools can do at these commits, and with which remedies."""
    ends = compiler_choice.Ends(
        tuple(commits.items()),
        tuple(commits.values()) if len(commits) == 2 else None,  # type: ignore[arg-type]
    )
    request = config.request(architecture=wanted.architecture)
    try:
        chosen = compiler_choice.choose(tree, ends, [request], wanted.compiler, with_remedies=wanted.remedies)
        tools = toolchain.find(wanted.architecture, chosen.compiler)
    except UsageError as error:
        yield Finding("compiler", Severity.PROBLEM, str(error))
        return
    except HostError as error:
        yield Finding("compiler", Severity.PROBLEM, str(error), _another("gcc", newer=True))
        return
    fit = compiler_choice.fitness(tree, ends, [request], tools, with_remedies=wanted.remedies)
    for refusal in fit.refusals:
        help_ = "" if wanted.remedies else ", or leave out --kbisect-no-remedies"
        yield Finding("compiler", Severity.PROBLEM, refusal, _another(tools.kind, newer=False) + help_)
    if not fit.refusals:
        names = " and ".join(commits)
        words = f"nothing known against {names}" if not fit.needs else f"{names} with remedies"
        yield Finding("compiler", Severity.OK, f"{_written(tools)} ({chosen.why}): {words}")
    for trouble in fit.needs:
        yield Finding("remedy", Severity.OK, remedies.words(trouble))


def _another(tool: str, *, newer: bool) -> str:
    """How to build with another compiler."""
    if tool == "clang":
        return "name another one: --kbisect-llvm=-N (Debian: apt-get install clang-N lld-N llvm-N)"
    age = "newer" if newer else "older"
    return f"name {'a' if newer else 'an'} {age} one: --kbisect-cc gcc-N (Debian: apt-get install gcc-N), or --kbisect-llvm=-N"
