"""From a console to its crash reports, all at once or as it grows."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.circumstances import Circumstances
from pytest_kbisect.crash.console import BARE, LONGEST_LINE, STAMPED, Line, read_line
from pytest_kbisect.crash.families import BANNER, HEADERS, Header
from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.crash.naming import name_crash
from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.report import CrashReport
from pytest_kbisect.crash.stack import stacks
from pytest_kbisect.crash.unfinished import Unfinished, is_noise

MOST_REPORTS: Final = 200
"""Crashes read from one console; a kernel that has crashed so often has nothing new to say."""
MOST_OPEN: Final = 8
"""Reports that are read at once: more CPUs than this do not crash in the same moment."""
LIVE_REPORT: Final = 400
"""Own lines after which a report on a growing console is taken for complete."""
_LEAD: Final = 5
_TASK_LEAD: Final = 50
_KEPT_BYTES: Final = 16 << 10
LONGEST_REACH: Final = 1 << 20
"""Bytes of the console, other contexts' included, within which a report's lines lie."""
_BLOCK: Final = 256 << 10
"""Bytes searched at once; what is found in them is kept until they are read."""
_LONGEST_WAIT: Final = 256 << 10
"""Bytes without a line feed after which a line counts as ended."""

# Lines of a crash that has already been reported; they do not begin another one.
_FOLLOW_UP: Final = Pattern(
    r"Kernel panic - not syncing|invalid opcode: 0000|Internal error: |WARNING: kernel stack (?:regs|frame)"
    r"|Unhandled fault: alignment exception"
    r"|INFO: (?:Allocated|Freed) in |INFO: (?:Slab|Object) 0x"
)
# Messages with a trace of their own: what follows them is not the crash's, if nobody says who speaks.
_OTHER_TRACE: Final = (
    b"FAULT_INJECTION: forcing a failure",
    b"FAULT_FLAG_ALLOW_RETRY missing",
    b"allocation failure:",
    b" allocation failure, ",
)
# These begin a report of their own, and never end another's.
_NO_CUT: Final = Pattern(r"PANIC: double fault|unregister_netdevice: waiting for")
_ESCAPE: Final = b"\x1b"
_SHORTEST_HEADLINE: Final = 16
_REPLAY: Final = b"** replaying previous printk message **"
# What the boot loader gave may quote a crash: whoever looks for one passes its title on.
_QUOTED: Final = Pattern(r"(?:Unknown k|K)ernel command line|Command line: ")
# A kernel runs: it has printed something after its first second, or syzkaller's programs have.
_ALIVE: Final = Pattern(
    rb"(?m)^(?:<\d{1,2}>)?\[ *[1-9]\d{0,8}\.\d{3,9}\]|^executing program|^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
)
_WORDS: Final = (
    *_OTHER_TRACE,
    b"Booting the kernel",
    b"Linux version ",
    *(header.word.encode() for header in HEADERS),
)
_BANNER_LINE: Final = Pattern(
    r"^Booting the kernel(?: \(entry_offset: 0x[0-9a-f]+\))?\.\s*$|^\[ *0\.0{3,9}\](?:\[ *[CT]\d+\])? Linux version \d"
)


class Console:
    """The reading of one console, fed piece by piece.

    Bytes without a header's word are only searched, never split into lines; each line is read once. What
    is kept of the past is what a report that begins now may need.
    """

    def __init__(self) -> None:
        self.open: list[Unfinished] = []
        self.closed: list[Unfinished] = []
        self.circumstances = Circumstances()
        self.held_back = False
        self._count = 0
        self._reported: set[str] = set()
        self._alive = False
        self._buffer = b""
        self._read_to = 0  # of _buffer
        self._offset = 0  # of _buffer in the console

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Read what has come; a line without its end waits for the next time, unless this is the last.

        So does a line with which a report may begin: printk may say in the next that it repeats it.
        """
        self._buffer += chunk
        self.held_back = False
        stop = self._buffer.rfind(b"\n", self._read_to) + 1
        if last or (not stop and len(self._buffer) - self._read_to > _LONGEST_WAIT):
            stop = len(self._buffer)
        elif stop:
            final = max(self._buffer.rfind(b"\n", self._read_to, stop - 1) + 1, self._read_to)
            if any(self._buffer.find(word, final, stop) >= 0 for word in _WORDS):
                stop, self.held_back = final, True
        while self._read_to < stop:
            end = stop
            if stop - self._read_to > _BLOCK:
                end = self._buffer.find(b"\n", self._read_to + _BLOCK, stop) + 1 or stop
            self._read_block(self._read_to, end)
            self._read_to = end
        spare = self._read_to - _KEPT_BYTES
        if spare > _KEPT_BYTES:
            self._buffer = self._buffer[spare:]
            self._offset += spare
            self._read_to -= spare

    def _read_block(self, start: int, end: int) -> None:
        data = self._buffer
        self.circumstances.note(data, start, end)
        hits = self._hits(start, end) if self._count < MOST_REPORTS else []
        following = iter([*hits, end])
        hit = next(following)
        at = start
        while at < end:
            if not self.open:
                at = hit
                if at >= end:
                    break
            stop = data.find(b"\n", at, end)
            if stop < 0:
                stop = end
            line = read_line(data[at : min(stop, at + LONGEST_LINE)], self._offset + at, self._offset + stop)
            is_hit = at == hit
            if is_hit:
                hit = next(following, end)
            self._read_line(line, at, stop, hit=is_hit)
            at = stop + 1

    def _hits(self, start: int, end: int) -> list[int]:
        """Beginnings of the lines that have a word with which a report may begin."""
        data = self._buffer
        hits = set()
        for word in _WORDS:
            at = data.find(word, start, end)
            while at >= 0:
                hits.add(data.rfind(b"\n", start, at) + 1 or start)
                at = data.find(b"\n", at, end)
                if at >= 0:
                    at = data.find(word, at, end)
        # A terminal's colours may stand within a word; such a line has to be looked at without them.
        at = data.find(_ESCAPE, start, end)
        while at >= 0:
            line = data.rfind(b"\n", start, at) + 1 or start
            at = data.find(b"\n", at, end)
            if at < 0 or at - line > _SHORTEST_HEADLINE:
                hits.add(line)
            if at >= 0:
                at = data.find(_ESCAPE, at, end)
        return sorted(hits)

    def _read_line(self, line: Line, at: int, stop: int, *, hit: bool) -> None:
        header = self._header_of(line, stop) if hit else None
        if header is None:
            other = hit and any(word.decode() in line.text for word in _OTHER_TRACE)
            for report in self.open:
                if other:
                    report.cut_title(line)
                report.add(line)
        else:
            follows_up = _FOLLOW_UP.search(line.text) and (
                line.context in self._reported or self._reported & {BARE, STAMPED}
            )
            inlined = any(report.continues(line) for report in self.open)
            for report in self.open:
                if not follows_up and not inlined and _NO_CUT.search(line.text) is None:
                    report.cut_title(line)
                report.add(line)
            if not follows_up and not inlined and self._count < MOST_REPORTS:
                if len(self.open) >= MOST_OPEN:
                    self.open[0].closed = True
                self.open.append(Unfinished(line, header, self._lead(line, at)))
                self._reported.add(line.context)
                self._count += 1
        for report in self.open:
            if line.end - report.start > LONGEST_REACH:
                report.closed = True
        if any(report.closed for report in self.open):
            self.closed += [report for report in self.open if report.closed]
            self.open = [report for report in self.open if not report.closed]

    def _header_of(self, line: Line, stop: int) -> Header | None:
        """The header a line begins a report with, None if it begins none."""
        if _REPLAY in self._buffer[stop + 1 : stop + 200].partition(b"\n")[0]:
            return None  # printk says it again, and then in one piece
        if _QUOTED.match(line.message):
            return None
        for header in HEADERS:
            if header.word in line.text and (
                header.harmless is None or not header.harmless.search(line.message)
            ):
                return header
        if _BANNER_LINE.match(line.text) and self._has_run(line.start - self._offset):
            self._alive = False
            return BANNER
        return None

    def _has_run(self, before: int) -> bool:
        """Whether a kernel was already running when its banner came (again)."""
        if not self._alive:
            self._alive = _ALIVE.search(self._buffer, 0, before) is not None
        return self._alive

    def _lead(self, line: Line, at: int) -> tuple[str, ...]:
        """What the same task or CPU printed just before."""
        most = _TASK_LEAD if line.context.startswith("T") else _LEAD
        earlier = self._buffer[max(0, at - _KEPT_BYTES) : at].split(b"\n")[:-1]
        lead: list[str] = []
        for raw in reversed(earlier):
            if len(lead) >= most:
                break
            before = read_line(raw, 0, 0)
            if before.context == line.context and not is_noise(before.message):
                lead.append(before.message)
        return tuple(reversed(lead))

    def build(self, report: Unfinished) -> CrashReport:
        """The crash report as far as its text goes now."""
        name = name_crash(report.lines, report.title_lines or len(report.lines), report.header)
        around = self.circumstances
        reason = name.reason or ("the serial port was disconnected" if around.disconnected else "")
        return CrashReport(
            title=name.title,
            alt_titles=name.alternatives,
            type=kind_of(name.title),
            frame=name.frame,
            frames=stacks(report.lines),
            lead="\n".join(report.lead),
            report="\n".join(report.lines),
            corrupted=bool(reason),
            corrupted_reason=reason,
            suppressed=around.suppressed,
            panicked=around.panicked,
            executor=around.executor,
            start=report.start,
            end=report.end,
        )


class ConsoleReader:
    """Crash reports of a console that grows."""

    def __init__(self) -> None:
        self._console = Console()

    def feed(self, chunk: bytes) -> tuple[CrashReport, ...]:
        """Read on; returns the reports that are complete by now and were not before."""
        self._console.feed(chunk)
        return self._take(complete_only=True)

    @property
    def begun(self) -> bool:
        """A crash has begun whose report is not complete."""
        return bool(self._console.open)

    @property
    def pending(self) -> bool:
        """A crash has begun, or may have in the last line: wait a little for the rest."""
        return self.begun or self._console.held_back

    def finish(self) -> tuple[CrashReport, ...]:
        """There comes no more; returns the reports not yet returned."""
        self._console.feed(b"", last=True)
        return self._take(complete_only=False)

    def _take(self, *, complete_only: bool) -> tuple[CrashReport, ...]:
        console = self._console
        ready = list(console.closed)
        console.closed = []
        waiting = []
        for report in console.open:
            if not complete_only or report.complete or len(report.lines) >= LIVE_REPORT:
                ready.append(report)
            else:
                waiting.append(report)
        console.open = waiting
        return tuple(console.build(report) for report in sorted(ready, key=lambda report: report.start))


def parse_console(data: bytes) -> tuple[CrashReport, ...]:
    """All crash reports of a console that is there as a whole, in order."""
    console = Console()
    console.feed(data, last=True)
    reports = [*console.closed, *console.open]
    return tuple(console.build(report) for report in sorted(reports, key=lambda report: report.start))
