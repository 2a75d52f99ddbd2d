"""Which lines of make's output say why a build failed, and whether the host is to blame.

A parallel make prints much after the line that matters. Strong lines name a cause; weak ones repeat
that there was one, and count only where no strong line is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAXIMUM = 20
"""Lines that a cause has at most."""

_STRONG = re.compile(
    r"(?<!collect2): (?:fatal )?error: "  # gcc, clang, ld.lld
    r"|: Error: "  # gas
    r"|(?:^|\s)ERROR: (?!Build did)"  # modpost, scripts
    r"|: undefined reference to "
    r"|: multiple definition of "
    r"|: Permission denied"
    r"|^\S+:\d+:(?:\d+:)? .*\b(?:error|invalid|fatal|wrong)\b"  # Kconfig, flex, bison, dtc
    r"|: FAILED:? (?:unresolved|load BTF)"
    r"|FAILED unresolved symbol"
    r"|No rule to make target"
    r"|\.(?:tmp_)?vmlinux\S*: .*(?:failed|mismatch)"
    r"|^(?:objtool|scripts/\S+): .*(?:error|failed|can't|missing)"
    r"|: (?:error|warning): objtool: "
    r"|^objdump: .*(?:error|No such)"
    r"|error\[E?\d*\]: "  # rustc
    r"|relocation truncated to fit"
    r"|Inconsistent kallsyms data"
    r"|\*\*\* (?!\[)(?!Waiting)\S"  # make's own complaints, $(error) in a Makefile
)
_WEAK = re.compile(
    r": not found$"
    r"|: command not found"
    r"|: final link failed"
    r"|collect2: error"
    r"|(?:ERROR|FAILED): Build did NOT complete"
    r"|^error: "
    r"|\*\*\* \["  # make: *** [Makefile:1: x] Error 1
)
_OUT_OF_MEMORY = re.compile(
    r"^Killed$|Killed (?:signal terminated )?program|: Killed\b|internal compiler error: Killed|virtual memory exhausted"
    r"|cannot allocate memory|Cannot allocate memory|out of memory allocating|memory exhausted|signal 9"
    r"|: line \d+: +\d+ Killed\b|\] (?:Killed|Error 137)$"  # a shell that is bash, and make
)
_OUT_OF_DISK = re.compile(r"No space left on device|Disk quota exceeded|final close failed")
# A compiler shows the source that it complains of, and drivers have "Cannot allocate memory" in theirs.
# What the linker said is indented by rustc as well.
_QUOTED = re.compile(r"(?!\s+(?:= note: )?(?:\S*[/-])?(?:l?ld|collect2)[^\s:]*: )(?:\s|\d+ \| )")
_MISSING_ON_HOST = (
    (re.compile(r"\b(?:libelf|gelf)\.h: No such file"), "libelf-dev"),
    (re.compile(r"\bopenssl/\S+: No such file"), "libssl-dev"),
    (
        re.compile(
            r"\b(flex|bison|bc|cpio|lz4|lz4c|zstd|lzop|xz|perl|rsync|python3): (?:command )?not found"
        ),
        "",
    ),
    (re.compile(r"\bpahole\b.*(?:not found|not available)"), "dwarves"),
    (re.compile(r"\bgmp\.h: No such file|\bgcc-plugin\.h: No such file"), "gcc-12-plugin-dev"),
)
_PACKAGES = {"xz": "xz-utils", "lz4c": "lz4"}
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def root_cause(lines: Iterable[str], prefixes: Iterable[str] = ()) -> tuple[str, ...]:
    """The lines of make's output that say why it failed, each once, folders in `prefixes` removed."""
    strong: dict[str, None] = {}
    weak: dict[str, None] = {}
    for line in lines:
        kept = strong if _STRONG.search(line) else weak if _WEAK.search(line) else None
        if kept is not None and len(kept) < MAXIMUM:
            text = line.strip().translate(_QUOTES)
            for prefix in prefixes:
                text = text.replace(prefix, "")
            kept[text] = None
    return tuple(strong or weak)


def host_trouble(lines: Iterable[str]) -> str:
    """What the host lacks, if the output says so, as a sentence's end; empty if the commit is to blame."""
    trouble = ""
    for line in lines:
        if _QUOTED.match(line):
            continue
        if _OUT_OF_DISK.search(line):
            return "the disk is full: free some, or choose another cache folder"
        if _OUT_OF_MEMORY.search(line):
            trouble = "the compiler was killed or found no memory: stop something, or build with fewer jobs"
        for pattern, package in _MISSING_ON_HOST:
            if found := pattern.search(line):
                wanted = package or _PACKAGES.get(found[1], found[1])
                return f"the host lacks something: apt-get install {wanted}"
    return trouble


def sources_in(cause: Iterable[str]) -> tuple[str, ...]:
    """The source files that a cause's lines begin with."""
    found = (re.match(r"(?:\.\./)*([^\s:]+\.[chS]):\d+", line) for line in cause)
    return tuple(dict.fromkeys(match[1] for match in found if match))
