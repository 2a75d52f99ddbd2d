"""Messages that contain a header's word but report no fault, such as warnings of daemons and boot code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from pytest_kbisect.crash.pattern import Pattern


class Harmless(Protocol):
    """Finds the lines that are not reports."""

    def search(self, text: str) -> object:
        """Return a true value if this line is harmless."""


# For splitting a line into words: letters become lower case, everything else becomes a separator.
_TO_WORDS: Final = bytes(ord(chr(at).lower()) if at < 128 and chr(at).isalpha() else 32 for at in range(256))


@dataclass(frozen=True, slots=True)
class HarmlessWords:
    """Lines that contain `begin` and one of these words, in any case, or that match `also`.

    Lines in which `unless` matches the text after `begin` are excepted. `phrases` are several words in a row,
    indexed by one of the words. A log may consist of such lines only, so the words are looked up in a set: a
    regular expression with fifty alternatives takes thirty times as long.
    """

    begin: bytes
    unless: Pattern[bytes]
    words: frozenset[bytes]
    phrases: dict[bytes, tuple[bytes, ...]]
    also: Pattern[str]

    def search(self, text: str) -> bool:
        """Whether this line is harmless."""
        raw = text.encode("utf-8", "replace")
        return (self._has_word(raw) or self.also.search(text.lower()) is not None) and self._may_be(
            raw.partition(self.begin)[2]
        )

    def skims(self, rest: bytes) -> bool:
        """Whether a line is harmless, judged only by the text after `begin`."""
        return self._has_word(rest) and self._may_be(rest)

    def _has_word(self, raw: bytes) -> bool:
        words = raw.translate(_TO_WORDS).split()
        if not self.words.isdisjoint(words):
            return True
        found = self.phrases.keys() & words
        if not found:
            return False
        lowered = raw.lower()
        return any(phrase in lowered for word in found for phrase in self.phrases[word])

    def _may_be(self, rest: bytes) -> bool:
        return self.unless.compiled.match(rest) is None


def _words(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


BUG: Final = Pattern(
    r"\w(?<!TASK )BUG:|DEBUG:|Oops - BUG:|BUG:[^\s]|BUG: (?:recent printk recursion|no syscalls can create)"
)
WARNING: Final = HarmlessWords(
    begin=b"WARNING:",
    # WARN() is never harmless. Neither is a line that names a task: the task may be sshd or systemd-udevd.
    unless=Pattern(
        rb" (?:CPU: \d|(?:at )?(?:\[.{1,300}?\] )?\S{1,200}(?:\.(?:[chS]|rs):\d| still has locks)"
        rb"|kernel stack )"
    ),
    words=_words("""
        deprecated unsupported ignore ignored ignores ignoring firmware perform performed performance performing
        spectre mitigation mitigations experimental insecure entropy unchecked fsck apparmor selinux certificate
        certificates obsolete fallback insufficient lvmetad linker capability capabilities nvidia nvram fadump
        ebpf mand udev udevd udevadm ssh sshd bios bootloader assuming leaks disabling recommended untested
        errata compatible stuck polling
    """),
    phrases={
        b"supported": (b"not supported",),
        b"running": (b"you are running",),
        b"driver": (b"fbcon: driver",),
        b"workqueue": (b"workqueue cpumask",),
        b"permanently": (b"permanently added",),
        b"swap": (b"no swap", b"swap space"),
        b"host": (b"host key",),
        b"filesystem": (b"filesystem is", b"filesystem was"),
        b"mount": (b"maximal mount count",),
        b"lockdown": (b"kernel lockdown",),
        b"removed": (b"will be removed", b"overlay removed"),
        b"replaced": (b"has been replaced by",),
        b"compiled": (b"not compiled with",),
    },
    # File systems on a damaged image: fuzzers mount damaged images on purpose.
    also=Pattern(r"^xfs \(.{1,64}\): |^ext4-fs(?: \(.{1,64}\))?: "),
)
# KASAN messages that are printed through SLUB (4.4) follow a headline of their own.
SLUB: Final = Pattern(r"^(?!.{0,200}BUG )|Objects remaining|kasan: bad access")
# Go's runtime begins a line with "fatal error:". Other programs print it in the middle of a line, or continue
# with what they could not do.
FATAL: Final = Pattern(r"^(?!fatal error: (?!cannot |can't |could not |unable |failed ))")
FAULT: Final = Pattern(r"traps: |general protection fault (?:ip|rip):|segfault at")
# kernel/hung_task.c reports a task that is blocked for long, and below it the holder of the lock.
INFO: Final = Pattern(
    r"INFO:(?!\s*$| (?:rcu_|task .{1,64} (?:blocked (?:in I/O wait )?for more than|can't die for more than) "
    r"|\w*\s?suspicious (?:RCU|rcu_dereference_check)|possible |inconsistent "
    r"|trying to register|[A-Z_-]{3,20}-safe -> |(?:Allocated|Freed) in |(?:Slab|Object) 0x))"
)
INT3: Final = Pattern(r"\wint3:")
GO: Final = Pattern(r"^(?!panic: )")
VFS: Final = Pattern(r"^(?!.{0,200}VFS: (?:Busy inodes after|Close: file count is))")
OOPS: Final = Pattern(r"^(?!.{0,200}\[#\d{1,5}\](?: |:|$))")
LOCKUP: Final = Pattern(
    r"^(?!.{0,80}(?:self-detected hard LOCKUP|detected hard LOCKUP on other|CPU \d{1,4} Hard LOCKUP))"
)
