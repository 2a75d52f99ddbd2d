"""Removes the prefixes of console lines and finds out who printed a line.

A line passes through several programs, and each adds a prefix. printk's console adds level, time and caller;
dmesg, journald, syslogd and netconsole add their own; a recorder of the serial port adds its clock, and a
mail adds quote marks. Each prefix is a layer. Layers are removed from the outside in, until only the kernel's
own text remains.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from pytest_kbisect.crash.pattern import Pattern

BARE: Final = ""
"""Context of a line without a prefix, from a user-space program or a kernel without CONFIG_PRINTK_TIME."""
STAMPED: Final = "console"
"""Context of a kernel's line whose task or CPU is not known, because CONFIG_PRINTK_CALLER is not set."""
PROGRAM: Final = "program"
"""Context of a line that a user-space program printed, according to the recorder of the log."""


class Printed(NamedTuple):
    """A line without its layers. `context` is "T<pid>", "C<cpu>", STAMPED, BARE or PROGRAM."""

    context: str
    message: str


_CALLER: Final = r"\[ *(?P<caller>[CT]\d{1,9})\]"
# kernel/printk/printk.c, info_print_prefix(): level (syslog), time, caller. `dmesg -d` adds the time since
# the previous line; some vendors add the time of day.
_TIME: Final = r"\[ *\+?\d{1,9}\.\d{6,9}(?: *<[ +]*\d{1,9}\.\d{6} ?>| / [^\]\n]{1,40})?\]"
_DMESG_TIME: Final = (
    # dmesg -T, in any language
    r"\[\S{1,12} \S{1,12} [ \d]?\d \d\d:\d\d:\d\d \d{4}(?: <[ +]*\d{1,9}\.\d{6}>)?\]"
    # -H: the minute, then the time since it
    r"|\[\S{2,12} ?\d{1,2} \d\d:\d\d\]"
    # --time-format=delta and iso
    r"|\[<[ +]*\d{1,9}\.\d{6}>\]|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{6}(?:[+-]\d\d:?\d\d|Z)(?=[ \[])"
)
# The usual line, in one expression.
_USUAL: Final = Pattern(rf"(?:<(?P<level>\d{{1,3}})>)?{_TIME}(?: ?{_CALLER})?(?P<end> |$)")
_CALLER_AFTER: Final = r"\[ *[CT]\d{1,9}\]"
# MediaTek's kernels print the CPU, and the task in brackets.
_VENDOR_CPU: Final = r"[ .-]{0,3}(?:<\d>\.)?-?\(\d{1,2}\)\[\d{1,7}:"
_FACILITY: Final = (
    r"kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local[0-7]|security|console|ntp|clock"
)
_LEVEL: Final = r"emerg|alert|crit|err|error|warn|warning|notice|info|debug|panic"
_CLOCK: Final = r"\d\d:\d\d:\d\d(?:[.,:]\d{1,9})?"
_DATE: Final = r"\d{4}[-/]\d\d[-/]\d\d"
_ZONE: Final = r"(?:Z|[+-]\d\d:?\d\d)"
# The layers other than the usual one. The groups `time`, `dmesg`, `level`, `record` and `who` mark lines of
# the kernel; `dated` and `clock` may be followed by a host and a program.
_LAYERS: Final = (
    (
        rf"(?P<quote>[ \t]{{0,8}}(?:[>|] ?){{1,6}}(?=[^=-])"
        rf"|[ \t]{{1,40}}(?=\[ *\d{{1,9}}\.\d{{6}}\]|\S{{2,12}} [ \d]?\d \d\d:\d\d:\d\d |{_DATE}[T ]\d\d:\d\d:\d\d ))"
    ),
    # netconsole's extended format and /dev/kmsg: release, level, number, time, flags, fields
    r"(?P<record>(?:[\w.+~-]{1,64},)?\d{1,3},\d{1,12},\d{1,16},[^;\n]{0,64};)",
    rf"(?P<time>{_TIME}(?: ?\[ *(?P<whom>[CT]\d{{1,9}})\])?(?: |$|(?=\[\d)|(?={_VENDOR_CPU})))",
    r"(?P<level><(?P<number>\d{1,3})>(?:1 )?)",
    rf"(?P<dmesg>(?:{_DMESG_TIME})(?: |$|(?={_CALLER_AFTER})))",
    rf"(?P<who>{_CALLER}(?: |$))",
    # `dmesg -x`
    rf"(?P<decoded>(?P<facility>{_FACILITY}) {{0,8}}:(?:{_LEVEL}) {{0,5}}: )",
    # Android's logcat, in its formats threadtime, brief and time
    (
        r"(?P<logcat>\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6} +(?:[a-z]\w{1,16} +)?(?P<pid>\d{1,7}) +\d{1,7} [VDIWEFA] "
        r"(?=(?P<tag>[^:\n]{0,64}):))"
    ),
    r"(?P<brief>(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} )?[VDIWEF]/(?P<name>[^(\n]{1,40}?) *\( *\d{1,7}\): )",
    # the short formats of journald, and the format of syslogd
    (
        rf"(?P<dated>(?:(?:[^\s\d:\[]\S{{1,11}}|\d{{1,2}}[月월]) [ \d]?\d {_CLOCK}(?: \d{{4}})?"
        rf"| ?\d{{1,2}} [^\s\d]{{2,12}}(?: \d{{4}})? {_CLOCK}"
        rf"|[^\s\d:\[]\S{{1,11}} [^\s\d]\S{{1,11}} [ \d]?\d {_CLOCK} \d{{4}}"
        rf"|[^\s\d:\[]\S{{1,11}} {_DATE} {_CLOCK} [A-Z+-][\w:+-]{{0,8}}"
        r"|\d{9,11}\.\d{6}) )"
    ),
    (
        rf"(?P<clock>(?:{_DATE}[T ]{_CLOCK} ?{_ZONE}?|\[(?:{_DATE}[T ])?{_CLOCK} ?{_ZONE}?\]"
        rf"|{_CLOCK}{_ZONE}?|\[ *\d{{1,9}}\.\d{{1,6}}(?: +\d{{1,9}}\.\d{{1,6}})?\])[:|>]?(?:[ \t]|$))"
    ),
    # a tool that follows several machines, or the hypervisor's console
    r"(?P<source>\(d\d{1,5}\) |[\w.-]{1,40} {1,8}\| {1,2})",
)
_LAYER: Final = Pattern("|".join(_LAYERS))
# After a date or journald's monotonic time: "host kernel: ", "host user.warn kernel: ", "host prog[12]: ". A
# log server prints two hosts.
_TAG: Final = Pattern(
    r"(?:[^\s:\[\]]{1,64} ){0,3}?"
    r"(?:(?P<kernel>kernel|klogd|vmunix)(?:\[\d{1,7}\])?(?:: ?| - - (?:- |\[[^\]\n]{0,80}\] ))"
    r"|(?P<program>[^\s:\[\]]{1,64})\[\d{1,9}\]: )"
)
_KERNEL_WORD: Final = "kernel:"
# Vendor kernels print CPU and task between time and text.
_VENDOR: Final = Pattern(
    r" ?[A-Z]?\[ ?\d{1,2}: *[^\]\n]{1,20}: *\d{1,7}\] ?"
    rf"|{_VENDOR_CPU}[^\]\n]{{1,32}}\]|\[\d{{1,2}}\] |c\d{{1,2}} +\d{{1,7}} "
)
_VENDOR_BEGINS: Final = frozenset(" [(-.<cABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Text that a program writes to /dev/kmsg appears with the kernel's time.
_BY_PROGRAM: Final = Pattern(r"[A-Za-z_(][\w./@:()+-]{0,63}\[\d{1,9}\]: ")
# Output without a line end (a shell prompt, the notice about lost lines), followed by the kernel's time.
_LATER_TIME: Final = Pattern(
    rf"[^\n]{{1,128}}?(?:<\d{{1,3}}>)?\[ *\d{{1,9}}\.\d{{6}}\](?: ?{_CALLER})?(?: |$)"
)
_JSON: Final = Pattern(r'\s{0,12}(?:- |data: )?[{]|\s{0,12}"(?:msg|MESSAGE)" ?:|\s{0,4}- [{]')
_JSON_FIELD: Final = Pattern(
    r"\"(?:msg|MESSAGE|message)\" ?: ?(?P<text>\"(?:[^\"\\]|\\.){0,2000}\")|\bmsg: '(?P<plain>(?:[^']|''){0,2000})'"
)
_JSON_KERNEL: Final = Pattern(r'"(?:_TRANSPORT|SYSLOG_IDENTIFIER)": ?"kernel"|"pri":|^\s*"msg":')
_JSON_PROGRAM: Final = Pattern(
    r'"_TRANSPORT": ?"(?!kernel)|"lvl": ?"(?!target|feedback)|\blvl: (?!target|feedback)'
)
# journalctl's formats verbose and export: one field per line, and this field does not state who printed it.
_FIELD: Final = Pattern(r"\s{0,4}MESSAGE=")
_OTHER_FIELD: Final = Pattern(
    r'\s{0,12}"?(?:__?[A-Z][A-Z0-9_]{1,60}|PRIORITY|SYSLOG_[A-Z]{1,20})(?:=|" ?: )'
    r"|[^\s\d:\[]\S{1,11} \d{4}-\d\d-\d\d \S{8,15} \S{1,8} \[s=[0-9a-f]"
)
_RECORD_CALLER: Final = Pattern(r"caller=(?P<caller>[CT]\d{1,9})")
_WHO: Final = Pattern(rf"{_CALLER}(?: |$)")
_KERNEL_LEVELS: Final = 8
_MOST_LAYERS: Final = 8
# Layers that only occur outside the kernel's own prefix. Within its text they mean something else.
_OUTER: Final = frozenset({"quote", "logcat", "brief", "dated", "clock", "source", "level"})


def unprint(text: str) -> Printed:
    """Remove everything but the kernel's own text, and find out who printed that."""
    usual = _USUAL.match(text)
    if usual is not None:
        if _is_program(usual["level"]):
            return Printed(PROGRAM, text[usual.end() :])
        return _after_time(text[usual.end() :], usual["caller"] or STAMPED)
    if '"' in text or "msg: '" in text:
        record = _from_json(text)
        if record is not None:
            return record
    if "MESSAGE=" in text:
        field = _FIELD.match(text)
        if field is not None:
            return unprint(text[field.end() :])
    return _peel(text)


def _peel(text: str) -> Printed:
    context = BARE
    leveled = False
    at = 0
    for _ in range(_MOST_LAYERS):
        layer = _LAYER.match(text, at)
        if layer is None or (context != BARE and layer.lastgroup in _OUTER):
            break
        at = layer.end()
        if layer["record"]:
            caller = _RECORD_CALLER.search(layer["record"])
            return _after_time(text[at:], caller["caller"] if caller is not None else STAMPED)
        if layer["logcat"]:
            return _from_logcat(text[at:], layer["pid"], layer["tag"])
        if layer["time"] or layer["dmesg"]:
            context = layer["whom"] or _known(context)
            after = _after_time(text[at:], context)
            if after.context != context:
                return after
            at = len(text) - len(after.message)
        elif layer["who"]:
            context = layer["caller"]
        elif layer["level"]:
            if _is_program(layer["number"]):
                return Printed(PROGRAM, text[at:])
            leveled = True
        elif layer["decoded"] or layer["brief"]:
            if (layer["facility"] or "kern") != "kern" or (layer["name"] or "kernel") != "kernel":
                return Printed(PROGRAM, text[at:])
            context = _known(context)
        elif layer["dated"] or layer["clock"]:
            tag = _TAG.match(text, at)
            if tag is not None:
                at = tag.end()
                if tag["program"]:
                    return Printed(PROGRAM, text[at:])
                context = _known(context)
    if at == 0 and text.startswith(_KERNEL_WORD):
        return _of_kernel(text[len(_KERNEL_WORD) :].removeprefix(" "))
    if at == 0 and _OTHER_FIELD.match(text):
        return Printed(PROGRAM, text)
    if context == BARE and "]" in text:
        later = _LATER_TIME.match(text, at)
        if later is not None:
            return _after_time(text[later.end() :], later["caller"] or STAMPED)
        if _BY_PROGRAM.match(text, at):
            return Printed(PROGRAM, text[at:])
    return Printed(_known(context) if leveled else context, text[at:])


def _is_program(level: str | None) -> bool:
    """Whether a syslog priority belongs to another facility than the kernel's, which is 0 with 8 levels."""
    return level is not None and int(level) >= _KERNEL_LEVELS


def _known(context: str) -> str:
    return context if context != BARE else STAMPED


def _of_kernel(text: str) -> Printed:
    inner = unprint(text)
    return Printed(_known(inner.context), inner.message)


def _after_time(message: str, context: str) -> Printed:
    """Remove what may follow a kernel time: a host and a program, a vendor's prefix, a second time."""
    if message[:1] in _VENDOR_BEGINS:
        vendor = _VENDOR.match(message)
        if vendor is not None:
            return Printed(context, message[vendor.end() :])
        if message.startswith(" "):
            return Printed(context, message)
    if "]: " in message or "kernel: " in message:
        tag = _TAG.match(message)
        if tag is not None:
            if tag["program"]:
                return Printed(PROGRAM, message[tag.end() :])
            return Printed(context, message[tag.end() :])
        if _BY_PROGRAM.match(message):
            return Printed(PROGRAM, message)
    if message.startswith("["):
        again = _USUAL.match(message)
        if again is not None:
            return _after_time(message[again.end() :], again["caller"] or context)
        who = _WHO.match(message)
        if who is not None:
            return Printed(who["caller"], message[who.end() :])
    return Printed(context, message)


def _from_logcat(rest: str, pid: str, tag: str) -> Printed:
    """Parse a line of Android's log, which treats kernel text up to the first colon as a program name."""
    name = tag.strip()
    if name in {"", "kernel"}:
        inner = unprint(rest[len(tag) + 1 :].removeprefix(" "))
        vendor = _VENDOR.match(inner.message)
        return Printed(
            _known(inner.context), inner.message if vendor is None else inner.message[vendor.end() :]
        )
    vendor = _VENDOR.match(rest)
    if vendor is not None:
        return Printed(STAMPED, rest[vendor.end() :])
    if int(pid) == 0:
        return Printed(STAMPED, f"{name}:{rest[len(tag) + 1 :]}")
    return Printed(PROGRAM, rest)


def _from_json(text: str) -> Printed | None:
    """Parse records of `dmesg -J`, `journalctl -o json` and LAVA, which have the text in a field."""
    if _JSON.match(text) is None:
        return None
    field = _JSON_FIELD.search(text)
    if field is None:
        return None
    if field["plain"] is not None:
        message = field["plain"].replace("''", "'")
    else:
        try:
            message = json.loads(field["text"])
        except ValueError:
            return None
    if _JSON_PROGRAM.search(text):
        return Printed(PROGRAM, message)
    return _of_kernel(message) if _JSON_KERNEL.search(text) else unprint(message)


__all__ = ["BARE", "PROGRAM", "STAMPED", "Printed", "unprint"]
