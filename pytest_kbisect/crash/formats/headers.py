"""The words that begin fault reports of kernels, in search order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.formats import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from pytest_kbisect.crash.formats.format import CrashFormat
    from pytest_kbisect.crash.formats.harmless import Harmless


@dataclass(frozen=True, slots=True)
class Word:
    """A word that may begin a report. A line with the word is not a report if `harmless` finds it.

    `of_programs`: such a report comes from a program, not from the kernel.
    """

    text: str
    harmless: Harmless | None = None
    of_programs: bool = False


WORDS: Final = (
    Word("general protection fault", harmless.FAULT),
    Word("stack segment:", harmless.FAULT),
    Word("BUG:", harmless.BUG),
    Word("(Not tainted): ", harmless.SLUB),
    Word("(Tainted: ", harmless.SLUB),
    Word("BUG kmalloc-", harmless.SLUB),
    Word("WARNING:", harmless.WARNING),
    Word("INFO:", harmless.INFO),
    Word("Watchdog detected hard LOCKUP"),
    Word("Unable to handle kernel"),
    Word("Unhandled fault:"),
    Word("Unhandled prefetch abort:"),
    Word("Alignment trap: not handling"),
    Word("kernel BUG at"),
    Word("Kernel BUG at"),
    Word("ernel bug detected"),
    Word("divide error:"),
    Word("divide_error:"),
    Word("invalid opcode:"),
    Word("int3:", harmless.INT3),
    Word("PANIC: double fault"),
    Word("Internal error:"),
    Word("UBSAN:"),
    Word("VFS: ", harmless.VFS),
    Word("unregister_netdevice: waiting for"),
    Word("Kernel panic"),
    Word("LOCKUP", harmless.LOCKUP),
    Word("rust_kernel: panicked at"),
    Word("trusty: panic", of_programs=True),
    Word("SYZFAIL:", of_programs=True),
    Word("SYZFATAL:", of_programs=True),
    Word("panic: ", harmless.GO, of_programs=True),
    Word("fatal error: ", harmless.FATAL, of_programs=True),
    Word("[#", harmless.OOPS),
)


@dataclass(frozen=True, slots=True)
class Header:
    """A word and the formats of the reports that it begins. `added` are the formats of other plugins.

    A harmless line with the word is not a report, unless the sign of an added format matches it.
    """

    word: str
    formats: tuple[CrashFormat, ...] = ()
    harmless: Harmless | None = None
    of_programs: bool = False
    added: tuple[CrashFormat, ...] = ()

    def is_harmless(self, line: str) -> bool:
        """Whether a line with the word reports no fault."""
        if self.harmless is None or not self.harmless.search(line):
            return False
        return not any(added.sign.search(line) for added in self.added)

    def is_loose(self, line: str) -> bool:
        """Whether either a program or a kernel may have printed this line."""
        signed = [entry for entry in self.formats if entry.sign.search(line)]
        return all(entry.loose for entry in signed) if signed else any(entry.loose for entry in self.formats)


class _All:
    """Finds every line harmless: for words of added formats, whose signs alone make a line a report."""

    def search(self, text: str) -> bool:  # noqa: ARG002 - the protocol's
        return True


def headers(formats: Sequence[CrashFormat], added: AbstractSet[CrashFormat]) -> tuple[Header, ...]:
    """The headers of these formats, in search order; new words come last.

    `added` are the formats of other plugins.
    """
    rows = {word.text for word in WORDS}
    new = dict.fromkeys(word for entry in formats for word in entry.headers if word not in rows)
    return tuple(
        Header(
            word.text,
            mine := tuple(entry for entry in formats if word.text in entry.headers),
            word.harmless,
            word.of_programs,
            tuple(entry for entry in mine if entry in added),
        )
        for word in (*WORDS, *(Word(text, _All()) for text in new))
    )
