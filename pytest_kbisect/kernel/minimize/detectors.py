"""What finds bugs in a kernel, and which of it a crash needs: the others can be left out of a configuration.

After syzkaller's bisections, which drop what the types of the crash do not need (pkg/bisect/minimize.go,
pkg/vcs/linux.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector: the symbols that switch it on, and the types and titles of the reports that it makes.

    `types` are beginnings of types (see crash.kinds), `titles` parts of titles. One that is not `costly`
    slows neither builds nor guests down: distributions have it on.
    """

    name: str
    symbols: tuple[str, ...]
    types: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    costly: bool = True

    def makes(self, title: str, kind: str) -> bool:
        """Whether a report with this title and type may be this detector's."""
        return kind.startswith(self.types or ("\0",)) or any(words in title for words in self.titles)


DETECTORS: Final = (
    Detector("KASAN", ("KASAN",), ("KASAN",)),
    Detector("KMSAN", ("KMSAN",), ("KMSAN",)),
    Detector("KCSAN", ("KCSAN",), ("KCSAN",)),
    Detector("KFENCE", ("KFENCE",), ("KFENCE",), costly=False),
    Detector("UBSAN", ("UBSAN",), ("UBSAN", "MEMORY_SAFETY_UBSAN")),
    Detector(
        "lockdep",
        # What selects LOCKDEP, DEBUG_LOCK_ALLOC and the rest (lib/Kconfig.debug).
        (
            "PROVE_LOCKING",
            "PROVE_RAW_LOCK_NESTING",
            "LOCK_STAT",
            "PROVE_RCU",
            "PROVE_NVDIMM_LOCKING",
            "DEBUG_LOCK_ALLOC",
            "DEBUG_WW_MUTEX_SLOWPATH",
            "LOCKDEP",
        ),
        ("LOCKDEP",),
        ("RCU usage",),
    ),
    Detector(
        "lock debugging",
        ("DEBUG_RT_MUTEXES", "DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RWSEMS"),
        ("LOCKDEP",),
        ("BUG: spinlock", "BUG: rwlock", "DEBUG_LOCKS"),
    ),
    Detector("atomic sleep", ("DEBUG_ATOMIC_SLEEP",), ("ATOMIC_SLEEP",)),
    Detector("kmemleak", ("DEBUG_KMEMLEAK",), ("LEAK",)),
    Detector("debug objects", ("DEBUG_OBJECTS",), (), ("ODEBUG",), costly=False),
    Detector(
        "page allocation debugging",
        ("DEBUG_PAGEALLOC",),
        ("MEMORY_SAFETY_BUG",),
        ("bad page state", "general protection fault"),
    ),
    Detector(
        "memory management checks",
        ("DEBUG_VM", "DEBUG_VM_PGTABLE", "PAGE_TABLE_CHECK"),
        ("BUG", "WARNING"),
        ("Bad page",),
        costly=False,
    ),
    Detector("KCOV", ("KCOV",)),
    Detector("GCOV", ("GCOV_KERNEL",)),
)


def present(values: Mapping[str, str]) -> tuple[Detector, ...]:
    """The detectors of a configuration, given the values of its symbols."""
    return tuple(one for one in DETECTORS if any(values.get(symbol) == "y" for symbol in one.symbols))


def unneeded(values: Mapping[str, str], crashes: Iterable[tuple[str, str]]) -> tuple[Detector, ...]:
    """The detectors of a configuration that none of these crashes (title, type) needs.

    None at all if a type is not known: nobody can say what made that report.
    """
    known = list(crashes)
    if not known or any(not kind for _, kind in known):
        return ()
    return tuple(one for one in present(values) if not any(one.makes(title, kind) for title, kind in known))


def without(values: Mapping[str, str], dropped: Collection[Detector]) -> dict[str, str]:
    """The settings that leave these detectors out of a configuration."""
    return {symbol: "n" for one in dropped for symbol in one.symbols if values.get(symbol) == "y"}
