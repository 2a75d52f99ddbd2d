"""`kbisect syzbot`: make the bisection of a bug of syzbot's ready, and print its command line."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import options
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import ExitCode, HostError, UsageError

if TYPE_CHECKING:
    import argparse

    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.syzbot.bug_model import Bug, BugCrash
    from pytest_kbisect.syzbot.dashboard import Dashboard
    from pytest_kbisect.syzbot.kernel_facts import KernelFacts
    from pytest_kbisect.syzbot.saved_bug import BugFiles, SavedBug

_QUERY: Final = re.compile(r"(?:ext)?id=[0-9a-f]{16,40}")
_ID: Final = re.compile(r"[0-9a-f]{20}|[0-9a-f]{40}")
_ADDRESS: Final = "https://syzkaller.appspot.com"
_SAVED_AS: Final = {"c": "repro.c", "syz": "repro.syz", "config": ".config", "report": "report.txt"}
_RIGHT: Final = "one in three of these is right (1,070 bisections, FSE 2024)"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "syzbot",
        help="make the bisection of a bug of syzbot's ready",
        description="Choose a crash of a bug, write its reproducer and configuration to a folder, say what is"
        " missing, and print the pytest command line. Nothing is built or run.",
    )
    parser.add_argument(
        "bug",
        metavar="BUG",
        help="address or id of the bug; or its JSON, page or mail as a file; or a folder with these,"
        " repro.c, repro.syz, .config and a report",
    )
    parser.add_argument("--kernel", type=options.path, metavar="DIR", help="your git tree of Linux")
    parser.add_argument(
        "--dir", type=options.path, metavar="DIR", help="folder to write (default: syzbot-ID)"
    )
    parser.add_argument(
        "--crash", type=int, metavar="N", help="the Nth crash of the bug instead of the best one"
    )
    parser.add_argument("--syz", action="store_true", help="use the syz program though there is C")
    parser.add_argument(
        "--syzkaller", type=options.path, metavar="DIR", help="the built syzkaller, as for pytest"
    )
    parser.add_argument("--arch", default=DEFAULT.name, metavar="NAME", help="architecture, as for pytest")
    parser.add_argument("--dashboard", default=_ADDRESS, metavar="URL", help=f"default: {_ADDRESS}")
    parser.add_argument("--cache", type=options.path, metavar="DIR", help="cache folder, as for pytest")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found and the command line. 4 if a bisection is not possible with what there is."""
    from pytest_kbisect.syzbot import bad_end, bisection_case, crash_choice, kernel_facts

    cache = (arguments.cache or options.default_cache()).absolute()
    dashboard = _dashboard(arguments, cache)
    saved = _saved(arguments.bug, dashboard)
    bug = saved.bug
    crash = crash_choice.choose(bug, arguments.crash) or _no_crash(bug)
    if crash.system:
        raise UsageError(f"{bug.title} is a bug of {crash.system}: kbisect bisects Linux; choose another bug")
    _print_bug(bug, crash)
    if not (crash.c or crash.syz or saved.files.c or saved.files.syz):
        raise UsageError(_without_reproducer(bug, kernel_facts.facts_of("", saved.files.report or "")))
    files, to_save = _files(saved, crash, dashboard)
    if files.c is None and files.syz is None:
        raise UsageError(_save(to_save))
    if files.config is not None:
        kernel_facts.check_config(files.config, "the configuration (.config)")
    facts = kernel_facts.facts_of(
        files.config or "",
        files.report or "",
        compiler=crash.compiler,
        user_space=crash.user_space,
        manager=crash.manager,
    )
    _check_architecture(facts, arguments.arch)
    tree = _tree(arguments.kernel, cache)
    end = bad_end.find(tree, crash, facts.version)
    folder = arguments.dir or Path(f"syzbot-{(bug.id or bisection_case.slug(bug.title))[:20]}")
    case = bisection_case.write(folder, bug, crash, files, facts, prefer_syz=arguments.syz)
    print(f"written: {case.reproducer}{f', {case.config}' if case.config else ''}")
    for title in bisection_case.titles(bug, crash, facts):
        print(f"expected: {title}")
    print(
        f"guest: {arguments.arch}, {facts.memory} MiB; the kernel was built with {facts.compiler_text or 'a compiler not named'}"
    )
    range_, remark = bad_end.range_text(tree, end.revision or "COMMIT", bug.first_crash)
    bits = "compiled for 32 bits (i386), as on syzbot's machine" if facts.compat and not case.is_syz else ""
    for note in filter(None, (*end.notes, *case.notes, bits, remark)):
        print(f"note: {note}")
    missing = [*filter(None, [end.missing]), *_missing(arguments, files, facts, is_syz=case.is_syz)]
    if to_save:
        missing.append(_save(to_save))
    for what in missing:
        print(f"missing: {what}")
    if bug.cause is not None:
        print(f"hint: syzbot's bisection found {bug.cause.hash[:12]} {bug.cause.title!r}; {_RIGHT}")
    for fix in bug.fixes[:1]:
        print(
            f"note: fixed by {fix.hash[:12] or 'a commit'} {fix.title!r}; to find the fix, use --kbisect-fix"
        )
    print()
    print(
        bisection_case.command(
            case,
            range_,
            kernel=str(arguments.kernel or "LINUX"),
            architecture=arguments.arch,
            syzkaller=str(arguments.syzkaller or "SYZKALLER"),
            default=DEFAULT.name,
        )
    )
    return ExitCode.FOUND if end.revision else ExitCode.USAGE


# -- the bug and its files -------------------------------------------------------------------------------


def _dashboard(arguments: argparse.Namespace, cache: Path) -> Dashboard:
    from pytest_kbisect.syzbot.dashboard import Dashboard

    address = arguments.dashboard
    if "://" in arguments.bug:
        parts = urllib.parse.urlsplit(arguments.bug)
        address = f"{parts.scheme}://{parts.netloc}"
    return Dashboard(address, cache, say=lambda words: print(words, flush=True))


def _saved(named: str, dashboard: Dashboard) -> SavedBug:
    from pytest_kbisect.syzbot import bug_json, saved_bug

    path = options.path(named)
    if path.exists():
        return saved_bug.read(path)
    if _ID.fullmatch(named):
        query = f"{'extid' if len(named) == 20 else 'id'}={named}"
    elif "://" in named and (found := _QUERY.search(named)):
        query = found[0]
    elif "://" in named:
        raise UsageError(f"{named} names no bug: give an address with ?extid= or ?id=")
    else:
        raise UsageError(f"{named} is neither a file nor a bug's address or id: check the path")
    try:
        text = dashboard.bug(query)
    except HostError as error:
        raise HostError(f"{error}\n{_what_to_save(dashboard.address, query)}") from None
    return saved_bug.SavedBug(bug_json.bug_of(text, f"{dashboard.address}/bug?{query}"), saved_bug.BugFiles())


def _what_to_save(address: str, query: str) -> str:
    return (
        f"Save with a browser into a folder, and give the folder: {address}/bug?{query}&json=1 as bug.json; "
        "of the crash to bisect what the links C, syz, .config and report lead to, as repro.c, repro.syz, "
        ".config and report.txt"
    )


def _files(saved: SavedBug, crash: BugCrash, dashboard: Dashboard) -> tuple[BugFiles, list[str]]:
    """The crash's files: those that were saved, and the others from the dashboard; and what must be saved."""
    files = saved.files
    links = {"c": crash.c, "syz": crash.syz, "config": crash.config, "report": crash.report}
    if files.c is not None or files.syz is not None:  # somebody has chosen the reproducer
        links |= {"c": "", "syz": ""}
    to_save = []
    reason = ""
    for field, link in links.items():
        if not link or getattr(files, field) is not None:
            continue
        try:
            if not reason:  # without a network the others cannot be had either
                files = replace(files, **{field: dashboard.file(link)})
                continue
        except HostError as error:
            reason = str(error)
        to_save.append(f"{dashboard.whole(link)} as {_SAVED_AS[field]}")
    if reason:
        print(f"note: {reason}")
    return files, to_save


def _save(files: list[str]) -> str:
    return f"files of the crash: save {', '.join(files)} into the folder of the bug, and run this again"


def _no_crash(bug: Bug) -> BugCrash:
    from pytest_kbisect.syzbot.bug_model import BugCrash

    return BugCrash(title=bug.title)


def _tree(path: Path | None, cache: Path) -> LinuxTree | None:
    if path is None:
        return None
    from pytest_kbisect.kernel.tree import LinuxTree

    return LinuxTree(path, cache)


# -- what is said ----------------------------------------------------------------------------------------


def _print_bug(bug: Bug, crash: BugCrash) -> None:
    print(f"bug: {bug.title}")
    if bug.status:
        print(f"status: {bug.status}")
    which = bug.crashes.index(crash) + 1 if crash in bug.crashes else 0
    has = ", ".join(
        words for words, there in (("C reproducer", crash.c), ("syz program", crash.syz)) if there
    )
    place = f"{crash.tree or 'tree not named'} {crash.commit[:12] or 'commit not named'}"
    number = f" {which} of {len(bug.crashes)}" if which else ""
    print(
        f"crash{number}: {place}{f' ({has})' if has else ''}{', no longer reproduced' if crash.revoked else ''}"
    )


def _check_architecture(facts: KernelFacts, asked: str) -> None:
    from pytest_kbisect import arch, plugins

    if not facts.architecture or facts.architecture == asked:
        return
    known = sorted(one.name for one in arch.registered(plugins.load()))
    can = (
        "give --arch " + facts.architecture
        if facts.architecture in known
        else (f"this kbisect runs {', '.join(known)}; choose another crash (--crash)")
    )
    raise UsageError(f"the crash was seen on {facts.architecture}, and {asked} was asked for: {can}")


def _without_reproducer(bug: Bug, facts: KernelFacts) -> str:
    title = (facts.titles or (bug.title,))[0]
    return (
        f"{bug.title} has no reproducer, so it cannot be bisected yet. What its report is good for: "
        "`kbisect crash report.txt` names the guilty file; `git log` of that file since the release before the "
        f"first crash lists the suspects; write a reproducer with the line `kbisect-crash: {title}`, save it as "
        "repro.c beside the bug's JSON, and run this again"
    )


def _missing(
    arguments: argparse.Namespace, files: BugFiles, facts: KernelFacts, *, is_syz: bool
) -> list[str]:
    found = []
    if arguments.kernel is None:
        found.append(
            "a git tree of Linux: put its path for LINUX, and give it here as --kernel to check the commits"
        )
    if files.config is None:
        found.append(
            "the .config: without it kernels are small, and may not have the bug; save it as .config"
        )
    if is_syz and arguments.syzkaller is None:
        found.append("a built syzkaller for this syz program: put its path for SYZKALLER")
    if facts.only_clang:
        found.append(
            f"clang: gcc has no CONFIG_{facts.only_clang}, and the bug may not show without it; add --kbisect-llvm=1"
        )
    elif facts.compiler == "clang":
        found.append(
            "clang, with which syzbot built the kernel: with gcc the bug may not show; add --kbisect-llvm=1"
        )
    if facts.compat and is_syz:
        found.append("i386: the syz program ran in a 32-bit process; build syzkaller with TARGETARCH=386")
    return found
