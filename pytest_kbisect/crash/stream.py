"""Reads the crash reports of one console incrementally."""

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
"""At most this many reports with one title are kept per console. A kernel may warn in a loop."""
MOST_OPEN: Final = 8
"""At most this many reports are open at once. No more CPUs than this crash at the same moment."""
_LEAD: Final = 5
_TASK_LEAD: Final = 50
_KEPT_BYTES: Final = 16 << 10
LONGEST_REACH: Final = 1 << 20
"""The lines of a report are within this many bytes of console, including lines of other contexts."""
_AFTERMATH: Final = 32 << 10
"""More of a report may follow within this many bytes after its end: the output of panic()."""
_BLOCK: Final = 256 << 10
"""Bytes searched at once. The lines found are kept in memory until they are read."""
_LONGEST_WAIT: Final = 256 << 10
"""A line without a line feed counts as ended after this many bytes."""

# These begin a report of their own, but never end another report.
_NO_CUT: Final = Pattern(r"PANIC: double fault|unregister_netdevice: waiting for")
# A headline that names a place. If it occurs again, except for CPU and task, the same crash occurred again.
_PLACE: Final = Pattern(r"\+0x[0-9a-f]|\.(?:[chS]|rs):\d")
_NUMBER: Final = Pattern(r"\b\d{1,20}\b")
_MOST_HEADLINES: Final = 1000
_REPLAY: Final = b"** replaying previous printk message **"
# The kernel command line may contain the title of a crash, because bisection tools pass it on.
_QUOTED: Final = Pattern(r"(?:Unknown k|K)ernel command line|Command line: ")
# A kernel is running if it has printed a line after its first second, or if syzkaller's programs have.
_ALIVE: Final = Pattern(
    rb"(?m)^(?:<\d{1,2}>)?\[ *[1-9]\d{0,8}\.\d{6,9}\]|^executing program|^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
)
_BANNER_LINE: Final = Pattern(
    r"^Booting the kernel(?: \(entry_offset: 0x[0-9a-f]+\))?\.\s*$"
    r"|^(?:<\d>)?\[ *0\.0{3,9}\](?:\[ *[CT]\d+\])? Linux version \d"
)
_VERSION: Final = Pattern(r"^Linux version \d")


class Console:
    """Reads one console, which arrives in pieces.

    Bytes without a header's word are only searched, never split into lines. Each line is read once. Old bytes
    are kept only as far as a report that begins now may need them.
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
        self._stale = set[str]()  # a subset of these headlines
        self._alive = False
        self._buffer = bytearray()
        self._read_to = 0  # position in _buffer
        self._noted_to = 0  # position in _buffer, for circumstances
        self._offset = 0  # position of _buffer in the console

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Read a chunk. An incomplete line waits for the next chunk, unless this is the last one.

        A final line that may begin a report also waits: the next line may be printk's notice that it was a
        replay.
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
        """Look for messages that affect all crashes, in all bytes read so far."""
        self.circumstances.note(self._buffer, self._noted_to, self._read_to)
        self._noted_to = self._read_to

    def _forget(self, spare: int) -> None:
        """Drop the oldest bytes, after noting whether a kernel is running and marks its lines."""
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
        """Handle a line that begins no report."""
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
        """Handle a line that contains words of headers."""
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
        """Close the reports that have ended before a new report, and the oldest if too many are open."""
        for report in self.open:
            if report.ended_before(new):
                report.closed = True
        if len(self.open) >= MOST_OPEN:
            self.open[0].closed = True

    def _is_stale(self, line: Line, header: Header) -> bool:
        """Whether this headline, which identifies its crash, has occurred too often to be read again."""
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
        """The header of the report that a line begins, or None."""
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
        """Whether a running kernel has rebooted here. Any banner starts a new succession of reports."""
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
        """Whether a program or the firmware may have printed this. Such a report counts only with a trace."""
        if line.context != BARE or header.of_programs:
            return False
        if self._speakers.are_marked(self._buffer, at):
            return True
        return header.is_loose(line.message) and not self._speakers.is_of_device(line.message)

    def _has_run(self, before: int) -> bool:
        """Whether a kernel was already running before this position of the buffer."""
        if not self._alive:
            self._alive = _ALIVE.compiled.search(self._buffer, 0, before) is not None
        return self._alive

    def _lead(self, line: Line, at: int) -> tuple[str, ...]:
        """The lines that the same task or CPU printed just before."""
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
        """Build these crash reports, in order. Drops doubtful ones, and those with a too frequent title."""
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
        """Build the crash report from the lines read so far."""
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
