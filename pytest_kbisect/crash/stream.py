"""The crash reports of one console, as its bytes come."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.circumstances import Circumstances
from pytest_kbisect.crash.console_lines import BARE, LONGEST_LINE, PROGRAM, Line, read_line
from pytest_kbisect.crash.crash_report import CrashReport
from pytest_kbisect.crash.formats import BANNER
from pytest_kbisect.crash.naming import name_crash
from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.searching import OTHER_TRACE, Hit
from pytest_kbisect.crash.speakers import Speakers
from pytest_kbisect.crash.stack import stacks
from pytest_kbisect.crash.succession import Succession
from pytest_kbisect.crash.unfinished import Unfinished, is_noise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.crash.formats.headers import Header
    from pytest_kbisect.crash.known import KnownFormats

MOST_ALIKE: Final = 100
"""Reports of one title read from one console; a kernel that warns in a loop has nothing new to say."""
MOST_OPEN: Final = 8
"""Reports that are read at once: more CPUs than this do not crash in the same moment."""
_LEAD: Final = 5
_TASK_LEAD: Final = 50
_KEPT_BYTES: Final = 16 << 10
LONGEST_REACH: Final = 1 << 20
"""Bytes of the console, other contexts' included, within which a report's lines lie."""
_AFTERMATH: Final = 32 << 10
"""Bytes of the console after a report's end in which there may be more of it: what panic() says."""
_BLOCK: Final = 256 << 10
"""Bytes searched at once; what is found in them is kept until they are read."""
_LONGEST_WAIT: Final = 256 << 10
"""Bytes without a line feed after which a line counts as ended."""

# These begin a report of their own, and never end another's.
_NO_CUT: Final = Pattern(r"PANIC: double fault|unregister_netdevice: waiting for")
# A headline that names a place: the same again, but for CPU and task, is the same crash again.
_PLACE: Final = Pattern(r"\+0x[0-9a-f]|\.(?:[chS]|rs):\d")
_NUMBER: Final = Pattern(r"\b\d{1,20}\b")
_MOST_HEADLINES: Final = 1000
_REPLAY: Final = b"** replaying previous printk message **"
# What the boot loader gave may quote a crash: whoever looks for one passes its title on.
_QUOTED: Final = Pattern(r"(?:Unknown k|K)ernel command line|Command line: ")
# A kernel runs: it has printed something after its first second, or syzkaller's programs have.
_ALIVE: Final = Pattern(
    rb"(?m)^(?:<\d{1,2}>)?\[ *[1-9]\d{0,8}\.\d{6,9}\]|^executing program|^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
)
_BANNER_LINE: Final = Pattern(
    r"^Booting the kernel(?: \(entry_offset: 0x[0-9a-f]+\))?\.\s*$"
    r"|^(?:<\d>)?\[ *0\.0{3,9}\](?:\[ *[CT]\d+\])? Linux version \d"
)
_VERSION: Final = Pattern(r"^Linux version \d")


class Console:
    """The reading of one console, fed piece by piece.

    Bytes without a header's word are only searched, never split into lines; each line is read once. What
    is kept of the past is what a report that begins now may need.
    """

    def __init__(self, known: KnownFormats) -> None:
        self.open: list[Unfinished] = []
        self.closed: list[Unfinished] = []
        self.circumstances = Circumstances()
        self.held_back = False
        self._known = known
        self._succession = Succession()
        self._speakers = Speakers()
        self._alike = Counter[str]()  # reports built, by title
        self._headlines = Counter[str]()  # without their numbers
        self._stale = set[str]()  # of these headlines
        self._alive = False
        self._buffer = bytearray()
        self._read_to = 0  # of _buffer
        self._noted_to = 0  # of _buffer, by circumstances
        self._offset = 0  # of _buffer in the console

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Read what has come; a line without its end waits for the next time, unless this is the last.

        So does a line with which a report may begin: printk may say in the next that it repeats it.
        """
        data = self._buffer
        data += chunk
        self.held_back = False
        stop = data.rfind(b"\n", self._read_to) + 1
        up_to_end = last or (not stop and len(data) - self._read_to > _LONGEST_WAIT)
        if up_to_end:
            stop = len(data)
        while self._read_to < stop:
            end = stop
            if stop - self._read_to > _BLOCK:
                end = data.find(b"\n", self._read_to + _BLOCK, stop) + 1 or stop
            hits = self._known.search.headlines(data, self._read_to, end)
            if end == stop and hits and not up_to_end:
                final = data.rfind(b"\n", self._read_to, stop - 1) + 1
                if hits[-1][0] >= final:
                    self.held_back = True
                    stop = end = hits.pop()[0]
            if hits or self.open:
                self._read_block(self._read_to, end, hits)
            self._read_to = end
        if last or self._read_to - self._noted_to > _KEPT_BYTES:
            self.note_circumstances()
        spare = self._read_to - _KEPT_BYTES
        if spare > _KEPT_BYTES:
            self._forget(spare)

    def note_circumstances(self) -> None:
        """Look for what counts for all crashes, up to what was read."""
        self.circumstances.note(self._buffer, self._noted_to, self._read_to)
        self._noted_to = self._read_to

    def _forget(self, spare: int) -> None:
        """Drop the oldest bytes, but for what they say of who speaks here."""
        self._has_run(spare)
        self._speakers.listen(self._buffer, spare)
        del self._buffer[:spare]
        self._offset += spare
        self._read_to -= spare
        self._noted_to -= spare
        self._speakers.forget(spare)

    def _read_block(self, start: int, end: int, hits: list[Hit]) -> None:
        data = self._buffer
        following = iter([*hits, (end, ())])
        hit, headers = next(following)
        at = start
        while at < end:
            if not self.open:
                at = hit
                if at >= end:
                    break
            stop = data.find(b"\n", at, end)
            if stop < 0:
                stop = end
            raw = bytes(data[at : min(stop, at + LONGEST_LINE)])
            line = read_line(raw, self._offset + at, self._offset + stop)
            if at == hit:
                self._read_hit(line, at, stop, headers)
                hit, headers = next(following)
            else:
                self._read_line(line)
            at = stop + 1

    def _read_line(self, line: Line) -> None:
        """A line with which no report begins."""
        for report in self.open:
            report.add(line)
        self._close(line)

    def _close(self, line: Line) -> None:
        closed = False
        for report in self.open:
            if line.end - report.start > LONGEST_REACH or (
                report.complete and line.end - report.complete > _AFTERMATH
            ):
                report.closed = True
            closed = closed or report.closed
        if closed:
            self.closed += [report for report in self.open if report.closed]
            self.open = [report for report in self.open if not report.closed]

    def _read_hit(self, line: Line, at: int, stop: int, headers: Iterable[Header]) -> None:
        """A line that has words with which reports begin."""
        header = self._header_of(line, stop, headers)
        if header is None:
            if any(word in line.text for word in OTHER_TRACE):
                for report in self.open:
                    report.cut_title(line)
            self._read_line(line)
            return
        if self._is_stale(line, header):
            for report in self.open:
                if line.context != BARE:
                    report.cut_title(line)
            self._read_line(line)
            return
        goes_on = self._succession.follows(line, header) or any(
            report.continues(line) for report in self.open
        )
        if goes_on:
            self._succession.go_on(header)
        doubtful = not goes_on and self._is_doubtful(line, header, at)
        if doubtful and any(self._succession.goes_on_in_doubt(header, report) for report in self.open):
            self._read_line(line)
            return
        for report in self.open:
            if not goes_on and not doubtful and _NO_CUT.search(line.text) is None:
                report.cut_title(line)
            report.add(line)
        if not goes_on:
            lead = () if doubtful else self._lead(line, at)
            report = Unfinished(line, header, lead, doubtful=doubtful)
            self._make_room(report)
            self.open.append(report)
            if not doubtful:
                self._succession.begin(report)
        self._close(line)

    def _make_room(self, new: Unfinished) -> None:
        """Close what a new report leaves no room for, and what has ended before it."""
        for report in self.open:
            if report.ended_before(new):
                report.closed = True
        if len(self.open) >= MOST_OPEN:
            self.open[0].closed = True

    def _is_stale(self, line: Line, header: Header) -> bool:
        """Whether this very headline, which says it all, has come too often to be looked at again."""
        headline = _NUMBER.sub("", line.message)
        if headline in self._stale:
            return True
        if len(self._headlines) > _MOST_HEADLINES:
            self._headlines.clear()
        self._headlines[headline] += 1
        if self._headlines[headline] > MOST_ALIKE and (
            _PLACE.search(line.message) is not None or header.is_loose(line.message)
        ):
            self._stale.add(headline)
        return headline in self._stale

    def _header_of(self, line: Line, stop: int, headers: Iterable[Header]) -> Header | None:
        """The header a line begins a report with, None if it begins none."""
        if line.context == PROGRAM or _REPLAY in self._buffer[stop + 1 : stop + 200].partition(b"\n")[0]:
            return None
        for header in headers:
            if header is BANNER:
                if self._is_banner(line):
                    return BANNER
            elif (
                header.word in line.message
                and not _QUOTED.search(line.message)
                and not header.is_harmless(line.message)
            ):
                return header
        return None

    def _is_banner(self, line: Line) -> bool:
        """Whether a kernel boots here that was running before; in either case another one speaks."""
        if _BANNER_LINE.match(line.text):
            rebooted = self._has_run(line.start - self._offset)
            self._alive = False
        elif _VERSION.match(line.message):
            rebooted = False
        else:
            return False
        self._succession = Succession()
        return rebooted

    def _is_doubtful(self, line: Line, header: Header, at: int) -> bool:
        """Whether a program or the firmware may have printed this: then it takes a trace to be a report."""
        if line.context != BARE or header.of_programs:
            return False
        if self._speakers.are_marked(self._buffer, at):
            return True
        return header.is_loose(line.message) and not self._speakers.is_of_device(line.message)

    def _has_run(self, before: int) -> bool:
        """Whether a kernel was already running when its banner came (again)."""
        if not self._alive:
            self._alive = _ALIVE.compiled.search(self._buffer, 0, before) is not None
        return self._alive

    def _lead(self, line: Line, at: int) -> tuple[str, ...]:
        """What the same task or CPU printed just before."""
        most = _TASK_LEAD if line.context.startswith("T") else _LEAD
        oldest = max(0, at - _KEPT_BYTES)
        lead: list[str] = []
        end = at - 1
        while len(lead) < most and end >= oldest:
            start = self._buffer.rfind(b"\n", oldest, end) + 1 or oldest
            before = read_line(bytes(self._buffer[start:end]), 0, 0)
            end = start - 1
            if before.context == line.context and not is_noise(before.message):
                lead.append(before.message)
        return tuple(reversed(lead))

    def finish(self, reports: list[Unfinished]) -> tuple[CrashReport, ...]:
        """Build the crash reports of these, in order, without doubtful ones and too many of one title."""
        if reports:
            self.note_circumstances()
        built = []
        for report in sorted(reports, key=lambda report: report.start):
            if report.doubtful:
                continue
            crash = self._build(report)
            self._alike[crash.title] += 1
            if self._alike[crash.title] <= MOST_ALIKE:
                built.append(crash)
        return tuple(built)

    def _build(self, report: Unfinished) -> CrashReport:
        """The crash report as far as its text goes now."""
        name = name_crash(report.lines, report.title_lines or len(report.lines), report.header)
        around = self.circumstances
        reason = name.reason or ("the serial port was disconnected" if around.disconnected else "")
        return CrashReport(
            title=name.title,
            alt_titles=name.alternatives,
            type=self._known.kind_of(name.title),
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
