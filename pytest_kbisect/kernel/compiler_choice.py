"""Chooses the compiler of a session or a bisection, one for all of its commits, and the remedies."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel import compilers, config, range_remedies, remedies, toolchain
from pytest_kbisect.kernel.rules import ANY, CompilerName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.arch.trouble import Trouble, Version
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree

_MADE_FOR: Final = re.compile(r'^CONFIG_CC_VERSION_TEXT="(.*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ends:
    """What is to be built: some commits with their names (the ends), and what may be built besides."""

    commits: tuple[tuple[str, str], ...]
    """(name, full hash)"""
    between: tuple[str, str] | None = None
    """A range, as full hashes."""
    also: tuple[str, ...] = ()
    """Full hashes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A compiler and its remedies, and what is said of them. `identity` is the toolchain's."""

    compiler: CompilerName
    identity: str
    why: str
    remedies: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the remedies."""
        return tuple(trouble.repair for trouble in self.remedies)

    def rules(self, rules: BuildRules) -> BuildRules:
        """Rules with this compiler and these remedies."""
        return replace(rules, compiler=self.compiler, remedies=self.names)

    @property
    def remarks(self) -> list[str]:
        """What is worth a word even where the compiler is the usual one."""
        lines = [f"compiler: {self.identity} ({self.why})"] if self.compiler != ANY else []
        return [*lines, *(f"remedy: {remedies.words(trouble)}" for trouble in self.remedies), *self.notes]

    @property
    def words(self) -> list[str]:
        """The choice, in lines for the log."""
        if self.compiler != ANY or not self.identity:
            return self.remarks
        return [f"compiler: {self.identity} ({self.why})", *self.remarks]


NOTHING: Final = Choice(ANY, "", "kernels that somebody else has built")
"""Where nothing is built."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """What is known of a toolchain and some commits.

    `refusals`: it is too old, or known to break, each in words; `needs`: the troubles that remedies end.
    """

    refusals: tuple[str, ...]
    too_old: bool
    needs: tuple[Trouble, ...]


def choose(
    tree: LinuxTree,
    ends: Ends,
    requests: Sequence[ConfigRequest],
    named: CompilerName,
    *,
    with_remedies: bool,
) -> Choice:
    """The compiler that the user names, else the newest installed one that builds all ends.

    `requests` are all configurations that are built, of one architecture.

    Raises UsageError for a compiler of the user's that cannot be used or is too old for an end, HostError
    where none is installed.
    """
    architecture = requests[0].architecture
    _require_architecture(tree, ends, architecture)
    judge = partial(fitness, tree, ends, requests, with_remedies=with_remedies)
    if named != ANY:
        tools = toolchain.find(architecture, named)
        fit = judge(tools)
        if fit.too_old:
            raise UsageError(f"{named.option}: {fit.refusals[0]}: name a newer one, or remove the option")
        return _choice(named, tools, fit, "named", requests)
    tried: list[tuple[CompilerName, Toolchain, Fitness]] = []
    for name in installed(architecture):
        try:
            tools = toolchain.find(architecture, name)
        except (HostError, UsageError):
            if name == ANY:
                raise
            continue
        fit = judge(tools)
        if not fit.refusals:
            return _choice(name, tools, fit, _why(tried), requests)
        tried.append((name, tools, fit))
    name, tools, fit = tried[0]
    if all(one.too_old for _, _, one in tried):
        raise HostError(f"no installed compiler can build this: {fit.refusals[0]}: install a newer gcc")
    notes = tuple(f"known to fail: {refusal}" for refusal in fit.refusals)
    return _choice(
        name, tools, fit, "the newest installed; none is known to build all of this", requests, notes
    )


def _why(tried: Sequence[tuple[CompilerName, Toolchain, Fitness]]) -> str:
    if not tried:
        return "the newest installed gcc"
    return "the newest installed that builds both ends; " + "; ".join(fit.refusals[0] for _, _, fit in tried)


def _choice(
    name: CompilerName,
    tools: Toolchain,
    fit: Fitness,
    why: str,
    requests: Sequence[ConfigRequest],
    notes: tuple[str, ...] = (),
) -> Choice:
    notes += tuple(f"known to fail: {refusal}" for refusal in fit.refusals if not notes)
    differences = dict.fromkeys(_made_for_another(tools, request) for request in requests)
    notes += tuple(filter(None, differences))
    return Choice(name, tools.identity, why, fit.needs, notes)


def _made_for_another(tools: Toolchain, request: ConfigRequest) -> str:
    """What is said where a whole configuration was made for a compiler of another kind."""
    found = _MADE_FOR.search(request.base)
    if not found:
        return ""
    kind = "clang" if "clang" in found[1] else "gcc"
    if kind == tools.kind:
        return ""
    other = "--kbisect-llvm" if kind == "clang" else "--kbisect-cc=gcc"
    return (
        f"{request.base_source} was made for {kind} ({found[1]}), and {tools.kind} builds here:"
        f" options that depend on the compiler may differ; {other} chooses {kind}"
    )


def fitness(
    tree: LinuxTree,
    ends: Ends,
    requests: Sequence[ConfigRequest],
    tools: Toolchain,
    *,
    with_remedies: bool = True,
) -> Fitness:
    """Whether a toolchain builds the ends, and which remedies that takes."""
    refusals: list[str] = []
    too_old = False
    on = frozenset[str]().union(*map(config.switched_on, requests))
    architecture = requests[0].architecture
    for name, commit in ends.commits:
        read = partial(range_remedies.contents, tree, commit)
        for tool, wanted in compilers.too_old(tools.versions, read).items():
            too_old = True
            version = compilers.written(tools.versions[tool])
            refusals.append(
                f"{tool} {version} is too old for {name}, which wants {compilers.written(wanted)}"
            )
    possible = compilers.possible(tools.versions, architecture, on)
    commits = [*(commit for _, commit in ends.commits), *ends.also]
    needs = range_remedies.needed(tree, possible, commits, ends.between) if with_remedies else ()
    for name, commit in ends.commits:
        read = partial(range_remedies.contents, tree, commit)
        refusals += [
            f"{tools.named(trouble)} is too new for {name}: {trouble.words}"
            for trouble in compilers.troubles(tools.versions, read, architecture, on)
            if trouble.fatal and not (with_remedies and trouble.remedies)
        ]
    return Fitness(tuple(refusals), too_old, needs)


def _require_architecture(tree: LinuxTree, ends: Ends, architecture: Architecture) -> None:
    """Raise UsageError where an end is older, or younger, than the kernel's support of the architecture."""

    def has(commit: str, path: str) -> bool:
        return not tree.ask("cat-file", "-e", f"{commit}:{path}")[0]

    for name, commit in ends.commits:
        if has(commit, "arch") and not has(commit, f"arch/{architecture.source_folder}"):
            raise UsageError(
                f"{name} does not support {architecture.name} (no arch/{architecture.source_folder}):"
                " choose a range whose ends both do, or another --kbisect-arch"
            )


def installed(architecture: Architecture) -> Iterator[CompilerName]:
    """The compilers in PATH that make code for the architecture, newest first; gcc's before LLVM's.

    The one without a number comes first among equals: it is what users have built with so far.
    """
    prefix = "" if architecture.is_native() else architecture.cross_prefix
    numbered = _suffixes(rf"{re.escape(prefix)}gcc-(\d+)")
    plain = compilers.version_of(toolchain.first_line(f"{prefix}gcc"))[:1]
    ranked: list[tuple[Version, CompilerName]] = [
        ((number,), CompilerName(f"{prefix}gcc-{number}")) for number in numbered if (number,) != plain
    ]
    ranked.append((plain, ANY))
    yield from (name for _, name in sorted(ranked, key=lambda one: one[0], reverse=True))
    for number in _suffixes(r"clang-(\d+)"):
        yield CompilerName(llvm=f"-{number}")


def _suffixes(pattern: str) -> list[int]:
    """The numbers in names of programs in PATH that match, the greatest first."""
    names = (
        name
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if folder and Path(folder).is_dir()
        for name in os.listdir(folder)
    )
    return sorted({int(found[1]) for name in names if (found := re.fullmatch(pattern, name))}, reverse=True)
