"""Modules in guests: loaded and unloaded by a reproducer, part of a signature, symbolized in a crash."""

from __future__ import annotations

import json

import pytest
from test_reproducers import kbisect

FILE = "drivers/net/dummy.c"
REPRODUCER = """\
# kbisect-config: CONFIG_DUMMY=m
# kbisect-timeout: 20
ip link add kbx0 type dummy || exit 1  # the kernel asks modprobe for it
ip link del kbx0
rmmod dummy
"""
COMMITS, CULPRIT = 10, 6

_EXIT = "\trtnl_link_unregister(&dummy_link_ops);\n"
_FREE = """
static noinline void kbx_free_stats(int *stats)
{
	WRITE_ONCE(stats[2], 0);
}
"""
_ANCHOR = "\nstatic void __exit dummy_cleanup_module(void)"
_DESCRIPTION = '"Number of dummy pseudo devices"'


def source(base: str, number: int) -> str:
    """The driver at a commit; -1 is the one before the first."""
    text = base.replace(_DESCRIPTION, f'"Number of dummy devices, revision {number + 1}"')
    assert text != base
    if number >= CULPRIT:
        text = text.replace(_ANCHOR, _FREE + _ANCHOR)
        text = text.replace(_EXIT, f"{_EXIT}\tkbx_free_stats(NULL);\n")
        assert text.count("kbx_free_stats") == 2
    return text


@pytest.mark.kernel
def test_a_bug_in_the_exit_path_of_a_module_is_bisected(linux_clone, tmp_path) -> None:
    base, parent, line = linux_clone.read(FILE), "", []
    for number in range(-1, COMMITS):
        files = {FILE: source(base, number)}
        parent = linux_clone.commit(f"dummy: revision {number + 1}", files, tmp_path / "index", parent)
        line.append(parent)
    reproducer, folder = tmp_path / "unload.sh", tmp_path / "result"
    reproducer.write_text(REPRODUCER)
    done = kbisect(
        *(str(reproducer), f"--kbisect-kernel={linux_clone.path}", f"--kbisect-dir={folder}"),
        *("--kbisect-modules", f"--kbisect-range={line[0]}..{line[-1]}"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads((folder / "result.json").read_text())
    assert answer["culprit"] == line[CULPRIT + 1]
    signatures = {one["signature"] for one in answer["tested"] if one["signature"]}
    # Every commit changes the module's description, which is loaded: no kernel equals another.
    assert len(signatures) == len(answer["tested"])
    assert "kbx_free_stats" in answer["crash"]
    assert "drivers/net/dummy.c:" in answer["crash_report"]
    assert "[dummy]" in answer["crash_report"]
    assert (folder / "repeat" / "modules.cpio").exists()
