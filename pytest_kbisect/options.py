"""Every option of the plugin, defined once: command line, ini file, help and types come from this table."""

from __future__ import annotations

import os
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_kbisect.arch import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pytest

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.rules import BuildRules, CompilerName

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Option:
    """`--kbisect-NAME` and the ini key `kbisect_NAME`.

    `many` may be given several times (in the ini file: a line each); a `switch` has no value on the command
    line, and is true or false in the ini file. `parse` raises ValueError for what cannot be used.
    """

    name: str
    metavar: str
    help: str
    default: Any = None
    parse: Callable[[str], Any] = str
    many: bool = False
    switch: bool = False
    bare: str = ""
    """The value of the option where it is given without one; "" if it must have one."""

    @property
    def flag(self) -> str:
        return f"--kbisect-{self.name}"

    @property
    def key(self) -> str:
        return f"kbisect_{self.name.replace('-', '_')}"


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _seconds(text: str) -> float:
    unit = text[-1:] if text[-1:] in _UNITS else ""
    try:
        seconds = float(text.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        raise ValueError("must be seconds, or a number followed by s, m, h or d") from None
    if not 0 < seconds < float("inf"):
        raise ValueError("must be more than 0")
    return seconds


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0.5 <= number < 1:
        raise ValueError("must be at least 0.5 and below 1")
    return number


def _cluster(text: str) -> str:
    from pytest_kbisect.cluster_address import check

    return check(text)


def _truth(text: str) -> bool:
    if text.lower() not in ConfigParser.BOOLEAN_STATES:
        raise ValueError("must be true or false")
    return ConfigParser.BOOLEAN_STATES[text.lower()]


def llvm(text: str) -> str:
    """The suffix of LLVM's tools, with its dash; 1 for none; a folder ends with a slash."""
    if text == "1" or text.endswith("/"):
        return os.path.expanduser(text)
    number = text.removeprefix("-")
    if not number.isdigit() or int(number) < 10:
        raise ValueError("must be a suffix (-19), or a folder that ends with a slash; before a path write =1")
    return f"-{number}"


def _one_of(*words: str) -> Callable[[str], Any]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of: {', '.join(words)}")
        return text

    return parse


def path(text: str) -> Path:
    """A path as a shell reads it: `~nobody/x` of a user who does not exist is a folder of that name.

    (Path.expanduser() raises RuntimeError there.)
    """
    return Path(os.path.expanduser(text))


OPTIONS = (
    Option(
        "range",
        "A..B",
        "bisect A..B: A is good, B crashes; ..B searches for A among the release tags",
    ),
    Option(
        "fix",
        "",
        "find the fix: A crashes, B does not",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "each",
        "",
        "bisect each selected test by itself: each has its own answer, kernels and sessions are shared",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "budget",
        "TIME",
        "time limit for building and testing (90m, 2h); then the bisection ends with what is known",
        parse=_seconds,
    ),
    Option(
        "replay",
        "LOG",
        "build nothing; show the conclusion from a journal, a bisection log or a git bisect log",
        parse=path,
    ),
    Option(
        "known",
        "LOG",
        "verdicts that are known already: a git bisect log, a journal, or lines: good COMMIT 3 runs (repeatable)",
        default=(),
        parse=path,
        many=True,
    ),
    Option(
        "known-trust",
        "P",
        "probability that a known verdict is right: runs can outvote it",
        default=0.9,
        parse=_fraction,
    ),
    Option(
        "paths",
        "PATH",
        "search the commits that touch this file or folder first; the others remain candidates (repeatable)",
        default=(),
        many=True,
    ),
    Option(
        "first-parent",
        "",
        "search the first-parent line only: the answer may be a merge",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "into-merge",
        "",
        "with --kbisect-first-parent: if the answer is a merge, search the commits that it brought in, too",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option("kernel", "DIR", "git tree of Linux to build from; it is only read", parse=path),
    Option("commit", "REV", "the commit to build in an ordinary run", default="HEAD"),
    Option(
        "config",
        "FILE",
        "a whole .config, or a fragment over tinyconfig (repeatable)",
        default=(),
        parse=path,
        many=True,
    ),
    Option(
        "minimize-config",
        "",
        "search with a small configuration that still shows the bug, made from the whole one and what a run executes",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "baseline",
        "FILE",
        "with --kbisect-minimize-config: a small whole .config that is tried first",
        parse=path,
    ),
    Option(
        "keep-config",
        "",
        "keep the detectors (KASAN, lockdep, KCOV, ...) of a whole configuration that the crash does not need",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "patch",
        "FILE",
        "apply a patch to each commit before it is built: a mail as git am takes it, or a diff (repeatable)",
        default=(),
        parse=path,
        many=True,
    ),
    Option("arch", "NAME", "architecture of kernels and guests", default=DEFAULT.name),
    Option(
        "cc",
        "PROGRAM",
        "compiler of kernels: gcc-11, clang-19, a path (default: the newest gcc that builds all of the range)",
    ),
    Option(
        "llvm",
        "SUFFIX",
        "build with LLVM's compiler and tools: those with this suffix (-19), or without one",
        parse=llvm,
        bare="1",
    ),
    Option(
        "no-remedies",
        "",
        "build old commits as they are, without the small changes that make them build and boot with new tools",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "image",
        "FILE",
        "disk image (raw or qcow2, only read) with the user space of guests (default: the host's busybox)",
        parse=path,
    ),
    Option(
        "syzkaller",
        "DIR",
        "a built syzkaller, or a folder with its syz-execprog and syz-executor: it runs syz programs (*.syz)",
        parse=path,
    ),
    Option(
        "syzkaller-command",
        "CMD",
        "shell command that builds syzkaller; it runs in a worktree of --kbisect-syzkaller, at the commit that"
        " the syz program names",
    ),
    Option(
        "ask",
        "",
        "a person is the test: build each kernel, and ask at the terminal whether it shows the bug",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "deliver",
        "CMD",
        "with --kbisect-ask: a shell command that takes the kernel (KBISECT_IMAGE, ...) to the machine that runs it",
    ),
    Option(
        "package",
        "TARGET",
        "with --kbisect-ask: make packages of each kernel, too: bindeb-pkg, binrpm-pkg, tarxz-pkg",
    ),
    Option("runs", "N", "runs of each reproducer", default=10, parse=_count),
    Option(
        "bad-when",
        "SYMPTOM",
        "what makes a run bad, unless the reproducer states it: crash, exit-status, 'subtest PATTERN', timeout, "
        "'console REGEX', boot, 'build [REGEX]', 'metric NAME higher|lower' (repeatable; default: crash)",
        default=(),
        many=True,
    ),
    Option(
        "timeout",
        "SECONDS",
        "time limit of a run, unless the reproducer sets one",
        default=30.0,
        parse=_seconds,
    ),
    Option("boot-timeout", "SECONDS", "time limit of a boot", default=120.0, parse=_seconds),
    Option(
        "fresh-boot",
        "",
        "boot a guest for every run, instead of restoring a snapshot",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option("memory", "MIB", "memory of a guest, unless the reproducer sets it", default=512, parse=_count),
    Option("cpus", "N", "processors of a guest, unless the reproducer sets them", default=2, parse=_count),
    Option(
        "cmdline",
        "ARGS",
        "arguments for the kernel's command line, besides those of the reproducer (repeatable)",
        default=(),
        many=True,
    ),
    Option(
        "qemu",
        "ARGS",
        "arguments for QEMU, quoted as in a shell: devices, for example (repeatable)",
        default=(),
        many=True,
    ),
    Option(
        "accel",
        "NAME",
        "auto (probed by booting), kvm or tcg",
        default="auto",
        parse=_one_of("auto", "kvm", "tcg"),
    ),
    Option(
        "icount",
        "",
        "the guest's clock counts instructions: the same code takes the same time (under TCG, one processor)",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "at-once",
        "N",
        "commits tested at a time; they share the guests of -n (default: one for each 8 guests, at most 4)",
        parse=_count,
    ),
    Option("jobs", "N", "make's -j (default: one for each processor)", parse=_count),
    Option(
        "request",
        "FILE",
        "repeat one session of a bisection: the request.json of its folder (bisections start sessions with it)",
        parse=path,
    ),
    Option("dir", "DIR", "results folder of a bisection (default: kbisect-results/NAME)", parse=path),
    Option(
        "cache", "DIR", "folder for trees, objects and built kernels (default: the user's cache)", parse=path
    ),
    Option(
        "store-size",
        "GIB",
        "space for built kernels; the least recently used are deleted first",
        default=10,
        parse=_count,
    ),
    Option(
        "full-build",
        "",
        "build each commit, and let make enter all directories, whatever the lists of files say that builds read",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "prebuilt",
        "SOURCE",
        "bisect kernel packages instead of commits: a folder of them, apt, apt:FLAVOUR or apt:SOURCES-FILE (repeatable)",
        default=(),
        many=True,
    ),
    Option(
        "modules",
        "",
        "build what the configuration has as modules (=m), and put them into guests; without it, they are built in",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "strategy",
        "NAME",
        "bayes weighs all evidence; classic uses the order and the counting rules of git bisect; plugins add others",
        default="bayes",
    ),
    Option(
        "executor",
        "NAME",
        "where the sessions of a bisection run: local is this machine, dask a cluster; plugins add others"
        " (default: dask if a scheduler is named, else local)",
    ),
    Option(
        "scheduler",
        "ADDRESS",
        "run sessions on a Dask cluster: tcp://HOST:PORT, tls://HOST:PORT, ssh:HOST,HOST or local:N",
        parse=_cluster,
    ),
    Option(
        "shell",
        "",
        "keep the guest of a failed run, print its ssh command, wait for Enter",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "gdb",
        "",
        "before each run, print the gdb command for the guest's kernel and wait for Enter",
        default=False,
        parse=_truth,
        switch=True,
    ),
    Option(
        "confidence", "P", "required probability of the answer (bayes only)", default=0.95, parse=_fraction
    ),
)

_BY_NAME = {option.name: option for option in OPTIONS}

REPRODUCER_DIRS = "kbisect_repro_dirs"
DEFAULT_REPRODUCER_DIR = "repro"


def add(parser: pytest.Parser) -> None:
    """Declare every option to pytest."""
    group = parser.getgroup("kbisect", "Linux kernels in QEMU: reproducers as tests, bisection (kbisect)")
    for option in OPTIONS:
        text = option.help
        if option.default not in (None, (), False):
            text += (
                f" (default: {option.default:g})"
                if isinstance(option.default, float)
                else f" (default: {option.default})"
            )
        kind_of: dict[str, Any] = {"action": "store_const", "const": "true"}
        if option.bare:
            kind_of = {"action": "store", "metavar": option.metavar, "nargs": "?", "const": option.bare}
        elif not option.switch:
            kind_of = {"action": "append" if option.many else "store", "metavar": option.metavar}
        group.addoption(option.flag, dest=option.key, default=None, help=text.replace("%", "%%"), **kind_of)
        kind: Literal["linelist", "string"] = "linelist" if option.many else "string"
        parser.addini(option.key, f"as {option.flag}", type=kind, default=None)
    parser.addini(
        REPRODUCER_DIRS,
        "folders whose files are reproducers: *.c, *.sh, *.syz and what plugins add (default: repro, if any kbisect option is used)",
        type="linelist",
        default=[],
    )


def default(name: str) -> Any:
    """The default of an option."""
    return _BY_NAME[name].default


def _usage_error(message: str) -> Exception:
    """Pytest's own; imported here, so that `kbisect --help` works without it."""
    import pytest

    return pytest.UsageError(message)


def given(config: pytest.Config, name: str) -> bool:
    """Whether an option was given on the command line."""
    return config.getoption(_BY_NAME[name].key) is not None


def value(config: pytest.Config, name: str) -> Any:
    """The value of an option: command line, else ini file, else default. Raises pytest.UsageError."""
    option = _BY_NAME[name]
    raw, source = config.getoption(option.key), option.flag
    folder = config.invocation_params.dir
    if raw == "" and name != "range":
        return _parsed(option, raw, source, folder)  # which says so
    if raw is None:
        raw, source = config.getini(option.key), f"ini key {option.key}"
        folder = config.inipath.parent if config.inipath else folder
    if raw in (None, "", []):
        return option.default
    if option.many:
        return tuple(_parsed(option, one, source, folder) for one in raw)
    return _parsed(option, raw, source, folder)


def _parsed(option: Option, raw: str, source: str, folder: Path) -> Any:
    """One value; a path is one from `folder`. Raises pytest.UsageError."""
    if raw == "" and option.name != "range":  # an empty range is none: see no_range()
        raise _usage_error(f"{source}: '' cannot be used: give a value, or remove the option")
    try:
        parsed = option.parse(str(raw))
    except ValueError as error:
        raise _usage_error(f"{source}: {raw!r} cannot be used: {error}") from None
    return folder / parsed if isinstance(parsed, Path) else parsed


def no_range(config: pytest.Config) -> bool:
    """Whether the command line says `--kbisect-range=` where no commit stands for it.

    With a commit that makes an ordinary run of a bisection's command; alone it is a script's empty
    variable, and whoever wanted a bisection must not get the exit code of an ordinary run.
    """
    return config.getoption(_BY_NAME["range"].key) == "" and not given(config, "commit")


def debugs(config: pytest.Config) -> bool:
    """Whether pytest's own --pdb was given, which is not there with -p no:debugging."""
    return bool(getattr(config.option, "usepdb", False))


def in_use(config: pytest.Config) -> bool:
    """Whether any option of ours was given, on the command line or in the ini file."""
    return bool(config.getini(REPRODUCER_DIRS)) or any(
        config.getoption(option.key) is not None or config.getini(option.key) not in (None, "", [])
        for option in OPTIONS
    )


def jobs(config: pytest.Config) -> int:
    """Processes of one build: as many as processors may be used, where the user names no number."""
    from pytest_kbisect import parallel

    named: int | None = value(config, "jobs")
    return named or parallel.processors()


def architecture(config: pytest.Config) -> Architecture:
    """The architecture of kernels and guests. Raises UsageError where no plugin knows it."""
    from pytest_kbisect import arch

    return arch.named(value(config, "arch"), arch.registered(config.pluginmanager))


def kernel_request(
    config: pytest.Config, lines: Iterable[Sequence[str]] = (), *, whole: str = ""
) -> ConfigRequest:
    """The configuration that the options ask for, with reproducers' `lines`: (source, line or lines).

    `whole` is the text of a whole configuration that takes the place of the user's.

    Raises UsageError for one that cannot be used.
    """
    from dataclasses import replace

    from pytest_kbisect.kernel.config import request

    asked = request(
        value(config, "config"),
        [(source, line) for source, line in lines],
        disk_image=value(config, "image") is not None,
        modules=value(config, "modules"),
        architecture=architecture(config),
    )
    return replace(asked, base=whole) if whole else asked


def build_rules(config: pytest.Config) -> BuildRules:
    """What holds for each build, of a session's kernel or anything else; compiler_choice says with what.

    Raises UsageError for a patch that cannot be read.
    """
    from pytest_kbisect.kernel import patches
    from pytest_kbisect.kernel.rules import BuildRules

    return BuildRules(
        value(config, "store-size") << 30,
        full=value(config, "full-build"),
        patches=tuple(patch for path in value(config, "patch") for patch in patches.read(path)),
    )


def compiler(config: pytest.Config) -> CompilerName:
    """The compiler that the user names; empty where kbisect chooses. Raises UsageError for two."""
    from pytest_kbisect.kernel.rules import CompilerName

    cc, llvm = value(config, "cc") or "", value(config, "llvm") or ""
    if cc and llvm:
        if given(config, "cc") == given(config, "llvm"):
            raise _usage_error("--kbisect-cc and --kbisect-llvm both choose the compiler: remove one")
        cc, llvm = (cc, "") if given(config, "cc") else ("", llvm)
    if os.sep in cc:  # builds run elsewhere
        cc = str(config.invocation_params.dir / path(cc))
    return CompilerName(cc, llvm)


def cache_folder(config: pytest.Config) -> Path:
    """The folder of everything that can be made again."""
    return Path(value(config, "cache") or default_cache()).absolute()


def default_cache() -> Path:
    """$KBISECT_CACHE, else the user's cache folder as the desktop standard has it."""
    if named := os.environ.get("KBISECT_CACHE"):
        return path(named)
    import platformdirs

    return platformdirs.user_cache_path("pytest-kbisect")


def reproducer_folders(config: pytest.Config) -> tuple[Path, ...]:
    """The folders whose files are reproducers, if a kind of reproducer takes them."""
    if names := config.getini(REPRODUCER_DIRS):
        return tuple(config.rootpath / name for name in names)
    if not in_use(config):
        return ()
    here = (config.rootpath, config.invocation_params.dir)
    return tuple(folder / DEFAULT_REPRODUCER_DIR for folder in here)
