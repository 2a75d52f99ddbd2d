"""Where a bisection works: its folder, held by one process, and what its journal is the journal of."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect import options, parallel, reproducers
from pytest_kbisect.bisection.executor import Workload
from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest import disk
from pytest_kbisect.kernel import signature
from pytest_kbisect.reproducer_kinds import UsesTools, kind_of
from pytest_kbisect.symptoms.metric import NAME as METRIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pytest

    from pytest_kbisect.bisection.launcher import Selection
    from pytest_kbisect.bisection.stages import Plan
    from pytest_kbisect.evidence.journal import Journal
    from pytest_kbisect.kernel.compiler_choice import Choice
    from pytest_kbisect.kernel.tree import LinuxTree, Range
    from pytest_kbisect.reproducer_kinds import ReproducerKind

_GUEST = ("memory", "cpus", "timeout", "accel")
"""Options that may make a crash more or less likely, and can be changed on the way: a run that was cut short
by its time limit is a reason to."""


def folder_of(config: pytest.Config, selection: Selection, ends: Range) -> Path:
    """The folder of results: named by the reproducer and the range, so that people find it."""
    named = options.value(config, "dir")
    if named:
        return Path(config.invocation_params.dir, named)
    if options.value(config, "ask"):
        return Path(config.invocation_params.dir, "kbisect-results", f"asked-{_named(ends)}")
    stems = sorted({Path(name).stem for name in selection.files})
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "+".join(stems))[:60]
    return Path(config.invocation_params.dir, "kbisect-results", f"{name}-{_named(ends)}")


def asked_junit(config: pytest.Config) -> Path | None:
    """Where the user wants the JUnit XML besides (--junitxml)."""
    asked = config.option.xmlpath
    return config.invocation_params.dir / options.path(asked) if asked else None


def _named(ends: Range) -> str:
    return f"{(ends.named_good or ends.good)[:8] or 'releases'}-{ends.bad[:8]}"


def subject_of(config: pytest.Config, selection: Selection, plan: Plan, compiler: Choice) -> dict[str, Any]:
    """What a journal is of: another range, reproducer or configuration makes it another bisection."""
    return {
        "range": [plan.ends.good, plan.ends.bad],
        "fix": plan.fix,
        "each": options.value(config, "each") and len(selection.each) > 0,
        "tests": list(selection.tests),
        "reproducers": {name: _digest(Path(name)) for name in selection.files},
        "included": _included(selection.files, reproducers.kinds(config)),
        "tools": _tools(selection.files, reproducers.kinds(config)),
        "fragments": selection.fragments,
        "config": [_digest(path) for path in options.value(config, "config")],
        "minimize": [
            options.value(config, "minimize-config"),
            options.value(config, "keep-config"),
            _digest(baseline) if (baseline := options.value(config, "baseline")) else None,
        ],
        "crash": sorted(plan.crash),
        "bad_when": [*selection.bad_when, *options.value(config, "bad-when")],
        "ask": options.value(config, "ask"),
        "patches": [_digest(path) for path in options.value(config, "patch")],
        "cmdline": list(options.value(config, "cmdline")),
        "qemu": list(options.value(config, "qemu")),
        "icount": options.value(config, "icount"),
        "image": _digest_of_image(options.value(config, "image")),
        "measured on": _measured_on(config) if METRIC in plan.symptoms else [],
        "strategy": plan.strategy.name,
        "full_build": options.value(config, "full-build"),
        "compiler": compiler.identity,
        "remedies": list(compiler.names),
        "runs": plan.runs,
        "arch": options.architecture(config).name,
        "modules": options.value(config, "modules"),
        # Kernels are the same where their signatures are: those of another formula never are.
        "signature format": signature.FORMAT,
    }


def _measured_on(config: pytest.Config) -> list[str]:
    """What values are comparable on; other guests measure other values."""
    own = [f"{name} {options.value(config, name)}" for name in ("memory", "cpus", "accel")]
    return own if options.value(config, "icount") else [*own, parallel.processor_model()]


def guests_otherwise(config: pytest.Config, journal: Journal) -> tuple[str, ...]:
    """What is asked of guests from now on, and was not before, in words; the journal notes it."""
    asked = {name: options.value(config, name) for name in _GUEST}
    before = journal.noted("guest") or {}
    changed = [name for name in _GUEST if name in before and before[name] != asked[name]]
    if changed or not before:
        journal.note("guest", asked)
    return tuple(
        f"runs until now had --kbisect-{name} {_number(before[name])}, from now on it is {_number(asked[name])}"
        for name in changed
    )


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _included(files: Iterable[str], kinds: Sequence[ReproducerKind]) -> dict[str, str]:
    """The files that belong to reproducers, such as headers, and the digest of each."""
    known = ((Path(name), kind_of(Path(name), kinds)) for name in files)
    found = {related for path, kind in known if kind for related in kind.related_files(path)}
    return {str(header): _digest(header) for header in sorted(found)}


def _tools(files: Iterable[str], kinds: Sequence[ReproducerKind]) -> dict[str, str]:
    """The programs of the host that kinds of reproducers use, and the digest of each."""
    known = ((Path(name), kind_of(Path(name), kinds)) for name in files)
    found: set[Path] = set()
    for path, kind in known:
        if isinstance(kind, UsesTools):
            found.update(kind.tools(path))
    return {tool.name: _digest(tool) for tool in sorted(found)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _digest_of_image(path: Path | None) -> str | None:
    return None if path is None else disk.digest(disk.look_at(path))


_COMPILER = "compiler"
"""The journal's kind of note on what all commits are built with, if that is not this machine's compiler."""


def workload_of(
    config: pytest.Config,
    selection: Selection,
    tree: LinuxTree,
    ends: Range,
    journal: Journal,
    note: Callable[[str], None],
) -> Workload:
    """What all sessions have in common."""
    image = options.value(config, "image")
    files = [*selection.files, *_included(selection.files, reproducers.kinds(config)), *selection.modules]
    files += [*map(str, options.value(config, "config")), *([str(image)] if image else [])]
    files += [*map(str, options.value(config, "patch"))]
    files += [selection.inifile] if selection.inifile else []
    return Workload(
        tree=tree,
        commits=tuple(filter(None, (ends.bad, ends.good, ends.named_good))),
        files=tuple(map(Path, files)),
        rootdir=Path(selection.rootdir),
        inifile=Path(selection.inifile) if selection.inifile else None,
        compiler=str((journal.noted(_COMPILER) or {}).get("identity", "")),
        note=note,
    )


def note_compiler(journal: Journal, identity: str) -> None:
    """Note what the commits of this range are built with, for the next time."""
    if journal.noted(_COMPILER) is None:
        journal.note(_COMPILER, {"identity": identity})


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Two bisections must not write one folder."""
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"another bisection is running in {folder}: wait for it, or give another --kbisect-dir"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; give another --kbisect-dir") from None
    try:
        yield
    finally:
        lock.release()
