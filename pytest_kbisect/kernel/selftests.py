"""A kselftest of one commit's tools/testing/selftests, built statically on the host; built once and kept."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.tree import LinuxTree

RUN: Final = "kselftest-run"
"""The script that runs a test in a guest: its argument is a shell file that comes first."""
SECONDS: Final = 45.0
"""How long a test may run that sets nothing (kselftest_timeout in kselftest/runner.sh)."""
_FOLDER: Final = "tools/testing/selftests"
_NAME: Final = re.compile(r"(?P<folder>[\w.+-]+(?:/[\w.+-]+)*)/(?P<test>[\w.+-]+)")
_NEEDED: Final = (
    *("Makefile", "Kbuild", "scripts", "include", "tools/arch", "tools/build", "tools/include", "tools/lib"),
    *("tools/scripts", _FOLDER),
)
_SOURCES: Final = (".c", ".h", ".S", ".o", ".d", ".mk", ".rst")
_OTHERS: Final = ("Makefile", "config", ".gitignore")
# As kselftest/runner.sh prints it, with what the test itself prints as its subtests. KSFT_SKIP is 4.
_SCRIPT: Final = """\
cd "$(dirname "$0")" || exit 125
sh "$1" || exit 125
{{ ./{test}; echo $? >kselftest-status; }} 2>&1 | sed 's/^/# /'
status=$(cat kselftest-status)
case $status in
0) echo "ok 1 selftests: {folder}: {test}" ;;
4) echo "ok 1 selftests: {folder}: {test} # SKIP"; status=125 ;;
*) echo "not ok 1 selftests: {folder}: {test} # exit=$status" ;;
esac
exit $status
"""


@dataclass(frozen=True, slots=True)
class Selftest:
    """A built test: its files by name, RUN among them, and the `seconds` that it may take."""

    files: Mapping[str, Path]
    seconds: float


def build(tree: LinuxTree, commit: str, name: str, toolchain: Toolchain, folder: Path) -> Selftest:
    """The test DIR/TEST of a commit. Results are kept in `folder`.

    Raises UsageError if the commit does not have it, or if it does not build statically.
    """
    found = _NAME.fullmatch(name)
    if found is None or ".." in name:
        raise UsageError(
            f"kbisect-selftest: {name!r} is not a kselftest: write DIR/TEST, such as timers/posix_timers"
        )
    words = f"{_SCRIPT}\0{commit}\0{name}\0{toolchain.identity}\0{toolchain.architecture.name}"
    kept = folder / hashlib.sha256(words.encode()).hexdigest()[:16]
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as work:
            files = _made(tree, commit, found["folder"], found["test"], toolchain, Path(work))
            try:
                files.rename(kept)
            except OSError:  # another process has made the same
                if not kept.exists():
                    raise
    return Selftest({path.name: path for path in sorted(kept.iterdir())}, _seconds(kept / "settings"))


def _made(tree: LinuxTree, commit: str, where: str, test: str, toolchain: Toolchain, work: Path) -> Path:
    """Build a test, and put what it needs into a folder below `work`."""
    source, output, files = work / "source", work / "output", work / "files"
    _unpack(tree, commit, toolchain, source, f"{where}/{test}")
    own = source / _FOLDER / where
    is_script = (own / test).is_file()
    if not is_script and not (own / f"{test}.c").is_file():
        tests = sorted(path.stem for path in own.glob("*.c"))[:20]
        raise UsageError(
            f"kbisect-selftest: {commit[:12]} has no kselftest {where}/{test}: name one of {', '.join(tests) or 'another folder'}"
        )
    output.mkdir()
    _make(["-C", str(source), "headers"], toolchain, source, f"{where}/{test}")
    # A script may need several programs, and not all of the folder's build everywhere.
    targets = ["-k", "all"] if is_script else [str(output / test)]
    _make(
        ["-C", str(own), f"OUTPUT={output}", f"top_srcdir={source}", *targets],
        toolchain,
        source,
        f"{where}/{test}",
        check=not is_script,
    )
    files.mkdir()
    for path in (*own.iterdir(), *output.iterdir()):
        if path.is_file() and path.suffix not in _SOURCES and path.name not in _OTHERS:
            shutil.copy(path, files / path.name)
    (files / test).chmod(0o755)
    (files / RUN).write_text(_SCRIPT.format(folder=where, test=test))
    return files


def _unpack(tree: LinuxTree, commit: str, toolchain: Toolchain, to: Path, name: str) -> None:
    """The part of a commit's source that kselftests and the kernel's headers are made of."""
    wanted = [*_NEEDED, f"arch/{toolchain.architecture.source_folder}"]
    there = tree.read("ls-tree", "--name-only", commit, "--", *wanted).splitlines()
    status, archive, complaint = tree.ask("archive", "--format=tar", commit, "--", *there)
    if status:
        raise UsageError(
            f"kbisect-selftest: cannot build {name} of {commit[:12]}: {complaint.strip()}: name another"
        )
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        packed.extractall(to, filter="tar")


def _make(words: list[str], toolchain: Toolchain, source: Path, name: str, *, check: bool = True) -> None:
    compiler = f"{toolchain.prefix}gcc" if toolchain.prefix else toolchain.compiler
    command = ["make", *words, f"ARCH={toolchain.architecture.kbuild}", f"CC={compiler} -static"]
    command.append(f"KHDR_INCLUDES=-isystem {source}/usr/include")
    try:
        process.run(command, env=toolchain.environment(source), check=check)
    except subprocess.CalledProcessError as error:
        said = process.tail(error.output, 15).replace(f"{source}/", "")
        raise UsageError(
            f"kbisect-selftest: {name} does not build as a static program, install what it needs:\n{said}"
        ) from None


def _seconds(settings: Path) -> float:
    """The time limit that a folder sets; 0 there is none, for which a day stands."""
    text = settings.read_text("utf-8", "replace") if settings.exists() else ""
    found = re.search(r"^timeout=(\d+)", text, re.MULTILINE)
    return (float(found[1]) or 86400.0) if found else SECONDS
