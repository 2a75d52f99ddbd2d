"""What travels to workers and back: files by content, commits as packs, kernels, and what sessions leave."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from miniature import FakeLinux

from pytest_kbisect import properties
from pytest_kbisect.errors import HostError
from pytest_kbisect.farm import packs, returned, session_files
from pytest_kbisect.farm.blobs import CHUNK, Blobs, digest_of, new_upload
from pytest_kbisect.farm.kernel_exchange import KernelExchange
from pytest_kbisect.farm.session_files import FOLDER, ROOT, SessionFiles
from pytest_kbisect.kernel.store import Store
from pytest_kbisect.kernel.tree import LinuxTree


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- files -------------------------------------------------------------------------------------------------


def test_a_file_arrives_in_parts(tmp_path):
    blobs, data, upload = Blobs(tmp_path), b"x" * CHUNK + b"end", new_upload()
    assert blobs.lacking([sha(data)]) == [sha(data)]
    blobs.write(sha(data), upload, 0, data[:CHUNK], last=False)
    assert blobs.lacking([sha(data)]) == [sha(data)], "half a file is none"
    blobs.write(sha(data), upload, CHUNK, data[CHUNK:], last=True)
    assert blobs.lacking([sha(data)]) == []
    assert blobs.read(sha(data), CHUNK) == b"end"


def test_a_damaged_file_is_refused(tmp_path):
    blobs = Blobs(tmp_path)
    with pytest.raises(HostError, match="damaged on its way"):
        blobs.write(sha(b"right"), new_upload(), 0, b"wrong", last=True)
    assert blobs.lacking([sha(b"right")]) == [sha(b"right")]
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_names_that_are_no_digests(tmp_path, name):
    with pytest.raises(ValueError, match="is no SHA-256"):
        Blobs(tmp_path).write(name, new_upload(), 0, b"", last=True)


def test_a_copy_can_be_changed_without_changing_the_file(tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    blobs.write(sha(b"true\n"), new_upload(), 0, b"true\n", last=True)
    blobs.put(sha(b"true\n"), tmp_path / "a" / "b.sh", 0o755)
    assert os.access(tmp_path / "a" / "b.sh", os.X_OK)
    (tmp_path / "a" / "b.sh").write_text("false\n")
    assert blobs.read(sha(b"true\n"), 0) == b"true\n"


def test_old_files_are_swept(tmp_path):
    blobs = Blobs(tmp_path)
    for data in (b"old", b"new"):
        blobs.write(sha(data), new_upload(), 0, data, last=True)
    os.utime(blobs.path(sha(b"old")), (0, 0))
    blobs.sweep()
    assert blobs.lacking([sha(b"old"), sha(b"new")]) == [sha(b"old")]


# -- commands ----------------------------------------------------------------------------------------------


def test_paths_of_a_command_are_the_workers(tmp_path):
    (tmp_path / "repro").mkdir()
    script, config, other = tmp_path / "repro" / "crash.sh", tmp_path / "my.config", tmp_path / "elsewhere"
    for path in (script, config, other):
        path.write_text("")
    files = SessionFiles([script, config])

    def there(word):
        return files.there(word, tmp_path)

    assert there(f"{script}::crash[run0]") == f"{ROOT}{script}::crash[run0]"
    assert there("repro/crash.sh") == "repro/crash.sh", "relative paths stay"
    assert there(f"--kbisect-config={config}") == f"--kbisect-config={ROOT}{config}"
    assert there(f"--rootdir={tmp_path}") == f"--rootdir={ROOT}{tmp_path}"
    assert there(str(other)) == str(other), "a file that does not travel"
    assert there("-k") == "-k"
    assert there("a=/b") == "a=/b"
    assert files.search_path(f"{tmp_path}:/usr/lib") == f"{ROOT}{tmp_path}:/usr/lib"


def test_home_directories_are_the_drivers(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my.config").write_text("")
    files = SessionFiles([tmp_path / "my.config"])
    assert (
        files.there("--kbisect-config=~/my.config", Path("/"))
        == f"--kbisect-config={ROOT}{tmp_path}/my.config"
    )


def test_a_request_is_that_of_its_command(tmp_path):
    """Else a session takes itself for one that somebody repeats."""
    (tmp_path / "crash.sh").write_text("true\n")
    folder = tmp_path / "result" / "sessions" / "1"
    folder.mkdir(parents=True)
    arguments = [f"{tmp_path}/crash.sh", "--kbisect-commit=abc"]
    (folder / "request.json").write_text(
        json.dumps({"schema": 1, "arguments": arguments, "folder": str(folder)})
    )
    task = session_files.task(
        SessionFiles([tmp_path / "crash.sh"]),
        ["python", "-m", "pytest", *arguments, f"--junitxml={folder}/junit.xml"],
        folder / "request.json",
        directory=tmp_path,
        folder=folder,
        environment={"PYTEST_ADDOPTS": "-q", "HOME": "/root", "KBISECT_SHARED": "/x", "PLAIN": "1"},
        rootdir=tmp_path,
        inifile=None,
    )
    request = json.loads(task["request"])
    assert request["arguments"] == task["arguments"][:2]
    assert request["folder"] == FOLDER
    assert task["arguments"][2] == f"--junitxml={FOLDER}/junit.xml"
    assert task["environment"] == {"PYTEST_ADDOPTS": "-q"}
    assert [file[0] for file in task["files"]] == [f"{tmp_path}/crash.sh"]


# -- commits -----------------------------------------------------------------------------------------------


@pytest.fixture
def linux(tmp_path):
    """A range of four commits behind older history, with a branch that is older than the range."""
    linux = FakeLinux(tmp_path / "linux")
    for n in range(3):
        linux.commit(f"old {n}", {f"old/{n}.c": f"int old{n};\n" * 50})
    linux.git("branch", "side")
    linux.good = linux.commit("good", {"lib/a.c": "int a;\n"})
    linux.commit("one", {"lib/b.c": "int b;\n"})
    linux.git("checkout", "-q", "side")
    linux.commit("aside", {"lib/c.c": "int c;\n"})
    linux.git("checkout", "-q", "master")
    linux.git("merge", "-q", "side", "-m", "merge")
    linux.bad = linux.commit("bad", {"lib/d.c": "int d;\n"})
    return linux


def files_of(repository: Path, commit: str) -> bytes:
    command = ["git", "archive", "--format=tar", commit]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout


def transfer(tree: LinuxTree, clone: packs.Clone, tmp_path: Path, *wanted: str) -> int:
    known = clone.known("sha1", wanted)
    assert known["lacking"]
    pack = tmp_path / "pack"
    roots = packs.make(tree, wanted, known, pack)
    clone.take("sha1", pack, wanted, roots)
    assert clone.known("sha1", wanted)["lacking"] == []
    return pack.stat().st_size


def test_a_range_travels_without_the_history_before_it(linux, tmp_path):
    tree, clone = LinuxTree(linux.path, tmp_path / "cache"), packs.Clone(tmp_path / "there", None)
    transfer(tree, clone, tmp_path, linux.bad, linux.good)
    there = clone.path("sha1")
    for commit in linux.git("rev-list", f"{linux.good}^..{linux.bad}").split():
        assert files_of(there, commit) == files_of(linux.path, commit)
    listed = subprocess.run(
        ["git", "rev-list", linux.bad], cwd=there, check=True, capture_output=True, text=True
    )
    assert linux.base not in listed.stdout.split()
    assert LinuxTree(there, tmp_path / "cache2").resolve(linux.bad) == linux.bad


def test_what_the_hosts_own_clone_has_does_not_travel(linux, tmp_path):
    tree = LinuxTree(linux.path, tmp_path / "cache")
    empty = packs.Clone(tmp_path / "empty", None)
    whole = transfer(tree, empty, tmp_path, linux.bad, linux.good)
    subprocess.run(["git", "clone", "-q", "--no-local", linux.path, tmp_path / "own"], check=True)
    subprocess.run(["git", "reset", "-q", "--hard", linux.good], cwd=tmp_path / "own", check=True)
    newest = linux.commit("newest", {"lib/e.c": "int e;\n"})
    clone = packs.Clone(tmp_path / "there", tmp_path / "own/.git/objects", tmp_path / "own/.git/shallow")
    assert transfer(tree, clone, tmp_path, newest) < whole / 3
    assert files_of(clone.path("sha1"), newest) == files_of(linux.path, newest)


def test_one_commit_more(linux, tmp_path):
    """A merge base, a release or a revert that is not in the range."""
    tree, clone = LinuxTree(linux.path, tmp_path / "cache"), packs.Clone(tmp_path / "there", None)
    transfer(tree, clone, tmp_path, linux.bad, linux.good)
    transfer(tree, clone, tmp_path, linux.base)
    assert files_of(clone.path("sha1"), linux.base) == files_of(linux.path, linux.base)
    assert files_of(clone.path("sha1"), linux.bad) == files_of(linux.path, linux.bad)


def test_a_broken_pack_is_refused(linux, tmp_path):
    clone = packs.Clone(tmp_path / "there", None)
    (tmp_path / "pack").write_bytes(b"PACK and no more")
    with pytest.raises(HostError, match="the worker's git index-pack failed"):
        clone.take("sha1", tmp_path / "pack", [linux.bad], [])
    assert clone.known("sha1", [linux.bad])["lacking"] == [linux.bad]


# -- kernels -----------------------------------------------------------------------------------------------


def test_a_kernel_goes_from_store_to_store(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (tmp_path / "image").write_text("a kernel")
    key, facts = "a" * 40, {"commit": "c" * 40, "signature": "s" * 64}
    store = Store(here / "kernels")
    with store.building(key, lambda _: None):
        store.add(key, {"bzImage": tmp_path / "image"}, facts).close()
    exchange = KernelExchange(here, Blobs(here / "blobs"))
    assert exchange.export("d" * 40, "") == []
    (sent,) = exchange.export("c" * 40, "")
    blobs = Blobs(there / "blobs")
    upload, data = new_upload(), exchange._blobs.read(sent["digest"], 0)
    blobs.write(sent["digest"], upload, 0, data, last=True)
    KernelExchange(there, blobs).add(key, sent["digest"])
    with Store(there / "kernels").lookup(key) as entry:
        assert (entry.folder / "bzImage").read_text() == "a kernel"
        assert entry.facts["signature"] == facts["signature"]
    assert list((there / "kernels" / "incoming").iterdir()) == []


def test_what_is_no_kernel_is_not_added(tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    blobs.write(sha(b"no"), new_upload(), 0, b"no", last=True)
    with pytest.raises(HostError, match="arrived broken"):
        KernelExchange(tmp_path, blobs).add("a" * 40, sha(b"no"))
    assert Store(tmp_path / "kernels").lookup("a" * 40) is None


# -- the way back ------------------------------------------------------------------------------------------


def xml(*cases: dict[str, str]) -> str:
    tests = "".join(
        "<testcase name='t'><properties>"
        + "".join(f"<property name='{name}' value='{value}'/>" for name, value in case.items())
        + "</properties></testcase>"
        for case in cases
    )
    return f"<testsuites><testsuite name='pytest'>{tests}</testsuite></testsuites>"


def test_what_a_session_leaves_comes_back(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    console = there / "runs" / "crash-1" / "console.log"
    console.parent.mkdir(parents=True)
    here.mkdir()
    console.write_text("boot\n" * 3_000_000)
    sources = tmp_path / "kernels" / "sources"
    sources.parent.mkdir()
    sources.write_text("architecture\tx86\nend\n")
    (there / "junit.xml").write_text(
        xml({properties.CONSOLE: str(console), properties.SOURCES: str(sources)})
    )
    (there / "session.log").write_text(f"in {there}\n")
    (there / "cache").mkdir()
    (there / "cache" / "private").write_text("not for the driver")
    returned.keep_sources(there)
    returned.pack(there, tmp_path / "archive")
    returned.unpack(tmp_path / "archive", here, {str(there): str(here)})
    assert (here / "session.log").read_text() == f"in {here}\n"
    text = (here / "junit.xml").read_text()
    assert f"{here}/sources-0" in text
    assert str(there) not in text
    assert (here / "sources-0").read_text() == sources.read_text()
    assert (here / "runs" / "crash-1" / "console.log").stat().st_size <= 4 << 20
    assert not (here / "cache").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_an_archive_writes_in_its_folder_only(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with tarfile.open(tmp_path / "archive", "w:gz") as tar:
        tar.add(tmp_path / "file", name)
    (tmp_path / "here").mkdir()
    try:
        returned.unpack(tmp_path / "archive", tmp_path / "here", {})
    except HostError as error:
        assert "cannot be read" in str(error)
    assert not (tmp_path / "outside").exists()
    assert not Path("/outside").exists()


@pytest.mark.parametrize(
    ("cases", "why"),
    [
        ([{properties.OUTCOME: "infra-failed", properties.TITLE: "QEMU died"}] * 2, "QEMU died"),
        ([{properties.OUTCOME: "infra-failed", properties.USAGE: "the disk is full"}], "the disk is full"),
        ([{properties.OUTCOME: "infra-failed"}, {properties.OUTCOME: "ok"}], ""),
        ([{properties.OUTCOME: "crashed", properties.TITLE: "WARNING in a"}], ""),
        ([{properties.SAME_KERNEL: "1"}], ""),
        ([], ""),
    ],
)
def test_a_session_that_failed_because_of_its_host(tmp_path, cases, why):
    (tmp_path / "junit.xml").write_text(xml(*cases))
    assert returned.failed_on_host(tmp_path / "junit.xml") == why


def test_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_of(tmp_path / "file") == sha(b"abc")
