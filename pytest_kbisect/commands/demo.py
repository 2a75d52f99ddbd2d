"""`kbisect demo`: make a kernel history with a bug in it, and bisect it as anybody would bisect theirs."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import host, layout, options, parallel, process
from pytest_kbisect.errors import ExitCode, HostError, KbisectError, UsageError

if TYPE_CHECKING:
    import argparse

    from pytest_kbisect.demo.repository import Demo

_DISK_MIB = 6_000
"""The history 0.3 GB, the bisection's worktree 1.3 GB, objects and built kernels."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "demo",
        help="bisect a ready-made kernel history",
        description="Make a history of 128 commits on the distribution's kernel source, one of which introduces a"
        " crash, and find that one with `pytest --kbisect-range`. The first build takes a few minutes, the rest less.",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where everything goes (default: $KBISECT_CACHE, else the user's cache)",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--tarball",
        type=Path,
        metavar="FILE",
        help="kernel source, Linux 5.10 or later, as .tar.xz, .tar.gz, .tar.bz2, .tar.zst or .tar"
        " (default: the newest /usr/src/linux-source-*.tar.*)",
    )
    given.add_argument(
        "--tree",
        type=Path,
        metavar="DIR",
        help="kernel source, Linux 5.10 or later, as a folder: HEAD of a git repository, or a tree in which nothing has"
        " been built",
    )
    parser.add_argument("--history-only", action="store_true", help="make the history and do not bisect it")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="PYTEST-ARGUMENT",
        help="passed on to pytest, after `--`: kbisect demo -- -n 2",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the history, bisect it, and check the answer. Raises KbisectError if that is wrong."""
    from pytest_kbisect.demo import repository
    from pytest_kbisect.kernel import host_limits

    given = arguments.tarball or arguments.tree
    _check_host(with_source=given is None)
    source = _source(arguments.tarball, arguments.tree)
    cache = (arguments.cache or options.default_cache()).absolute()
    host_limits.require_path(cache)
    folder = cache / "demo"
    _check_disk(cache)
    started = time.monotonic()
    print(f"kbisect demo: a history on {source}, in which one commit introduces a crash", flush=True)
    demo = repository.prepare(folder, source, _say)
    print(f"{demo.commits} commits on Linux {demo.version} in {demo.path} ({_minutes(started)})", flush=True)
    print(f"One of them brings this crash back: {demo.crash}", flush=True)
    if arguments.history_only:
        return ExitCode.FOUND
    reproducer = _lay_out(folder, demo.reproducer)
    # Another package or tarball makes another history, and that is another bisection.
    result = folder / f"result-{demo.bad[:12]}"
    command = [
        sys.executable,
        *("-m", "pytest"),
        *(f"--kbisect-kernel={demo.path}", f"--kbisect-range={repository.GOOD}..{repository.BAD}"),
        *(f"--kbisect-dir={result}", f"--kbisect-cache={cache}"),
        *(str(reproducer), *(["-n", "2"] if parallel.processors() > 1 else []), *arguments.arguments),
    ]
    print(f"\nBisecting, with the line that you would use:\n\n    {shlex.join(command)}\n", flush=True)
    exit_code = _in_foreground(command, folder)
    if exit_code != ExitCode.FOUND:
        print(
            f"\nkbisect demo: pytest ended with exit code {exit_code}; `kbisect demo` continues where it stopped"
        )
        return exit_code
    _check_answer(result / layout.RESULT, demo)
    print(_explanation(demo, result, _minutes(started)))
    return ExitCode.FOUND


def _say(words: str) -> None:
    print(words, flush=True)


def _minutes(started: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _source(tarball: Path | None, tree: Path | None) -> Path:
    """What the history is made from.

    Raises UsageError if it is not there, HostError if no source is given and none is installed.
    """
    if tarball and not tarball.is_file():
        raise UsageError(f"{tarball}: no such file")
    if tree and not tree.is_dir():
        raise UsageError(f"{tree}: no such directory")
    source = tarball or tree or host.source_tarball()
    if source is None:
        raise HostError(
            "no kernel source is installed (/usr/src/linux-source-*.tar.*): run `kbisect setup --demo`,"
            " or give --tarball FILE or --tree DIR"
        )
    return source


def _check_host(*, with_source: bool) -> None:
    absent = [tool for tool in host.missing(host.Purpose.BUILD, host.Purpose.GUEST) if not tool.optional]
    if absent:
        names = ", ".join(tool.name for tool in absent)
        setup = "kbisect setup --demo" if with_source else "kbisect setup"
        raise HostError(f"missing on this host: {names}: run `{setup}` first")


def _check_disk(cache: Path) -> None:
    """Before anything is written."""
    from pytest_kbisect.kernel import host_limits

    free = shutil.disk_usage(host_limits.existing(cache)).free >> 20
    if free < _DISK_MIB:
        raise HostError(
            f"{cache} needs {_DISK_MIB} MiB, and {free} MiB are free: name another folder with --cache"
        )


def _lay_out(folder: Path, name: str) -> Path:
    """A place to run pytest in: a configuration of its own, so that no other matters, and the reproducer."""
    reproducer = folder / "repro" / name
    reproducer.parent.mkdir(exist_ok=True)
    reproducer.write_bytes(resources.files("pytest_kbisect.demo").joinpath(name).read_bytes())
    (folder / "pytest.ini").write_text("[pytest]\nkbisect_repro_dirs = repro\n")
    return reproducer


def _in_foreground(command: list[str], folder: Path) -> int:
    """Run pytest on our terminal; what asks us to stop asks it, and it is waited for."""
    child = process.start(command, cwd=folder, stdout=None, stderr=None)

    def hand_on(number: int, _: object) -> None:
        child.send_signal(number)

    # It has a process group of its own, which the terminal's Ctrl-C does not reach.
    wanted = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup's
    ]
    before = {number: signal.signal(number, hand_on) for number in wanted}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        process.kill(child)


def _check_answer(result: Path, demo: Demo) -> None:
    try:
        culprit = json.loads(result.read_text())["culprit"]
    except (OSError, ValueError, KeyError) as error:
        raise KbisectError(
            f"pytest said that it found the culprit, but {result} does not name it: {error!r}"
        ) from error
    if culprit != demo.culprit:
        raise KbisectError(
            f"the bisection found {culprit}, but the culprit is {demo.culprit}: please report this"
        )


def _explanation(demo: Demo, result: Path, took: str) -> str:
    return f"""
That is the commit that was planted: {demo.culprit[:12]}. ({took} in all)

The bisection built both ends of the range, booted them in QEMU and ran {demo.reproducer} in fresh guests: it
crashes one end and not the other. It then tested commits in between, each time the one that yields the most
information for its cost, until one commit was left whose parent does not crash. The history also contains
{len(demo.unbuildable)} commits that do not build, {len(demo.unbootable)} that does not boot and {len(demo.words)} that change no code; they are skipped or cost nothing.

    git -C {shlex.quote(str(demo.path))} show {demo.culprit[:12]}        the culprit
    {shlex.quote(str(result))}        logs, JUnit XML, result.json

To use your own kernel, put a reproducer into a folder repro/: a C program, a shell script or a Python test.
Comment lines say what it needs, as in {demo.path.parent / "repro" / demo.reproducer}.

    pytest --kbisect-kernel ~/linux repro/NAME                              does HEAD crash?
    pytest --kbisect-kernel ~/linux --kbisect-range v6.1..HEAD repro/NAME   which commit introduced the crash?
"""
