"""What is gathered before a search: functions of the crash, files that define them, weights of commits."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kbisect.bisection import hints
from pytest_kbisect.history.candidates import History
from pytest_kbisect.kernel.sources import Sources
from pytest_kbisect.kernel.tree import LinuxTree

REPORT = """WARNING: CPU: 0 PID: 55 at mm/page_alloc.c:5634 __alloc_pages+0x136/0x1a0
RIP: 0010:__alloc_pages+0x136/0x1a0
Call Trace:
 <TASK>
 kmalloc_reserve+0x46/0x90
 ? not_sure+0x1/0x2
 pskb_expand_head.isra.0+0x7b/0x300
 tun_get_user+0x9aa/0x1170
"""
FILES = {
    "net/core/skbuff.c": "int pskb_expand_head(int n)\n{\n}\nstatic void *kmalloc_reserve(int n)\n{\n}\n",
    "mm/page_alloc.c": "struct page *__alloc_pages(int order)\n{\n}\n",
    "drivers/net/tun.c": "static ssize_t tun_get_user(int n)\n{\n}\n",
    "drivers/net/virtio_net.c": "int x;\n",
}


@pytest.fixture
def tree(linux, tmp_path):
    for name, text in FILES.items():
        (linux.path / name).parent.mkdir(parents=True, exist_ok=True)
        (linux.path / name).write_text(text)
    linux.commit("files")
    return LinuxTree(linux.path, tmp_path / "cache")


def test_functions_of_the_stack_begin_with_the_one_it_is_titled_by():
    functions = hints.stack_functions(REPORT, "pskb_expand_head")
    assert functions[0] == "pskb_expand_head"
    assert {"kmalloc_reserve", "tun_get_user"} <= set(functions)


def test_files_of_the_stack(linux, tree):
    sources = Sources(dict.fromkeys(FILES, 1), "x86")
    functions = hints.stack_functions(REPORT, "pskb_expand_head")
    found = hints.stack_files(tree, linux.git("rev-parse", "HEAD"), functions, sources)
    assert found == {"net/core/skbuff.c", "drivers/net/tun.c"}, "everybody calls mm/page_alloc.c"


def test_commits_by_what_they_touch(linux, tree):
    good = linux.git("rev-parse", "HEAD")
    for name in ("drivers/net/tun.c", "drivers/net/virtio_net.c", "MAINTAINERS", "Makefile"):
        linux.commit(name, **{name: f"{name}\n"})
    history = History.from_log(tree.log_text(good, linux.git("rev-parse", "HEAD")))
    sources = Sources(dict.fromkeys(FILES, 1), "x86")
    prior = hints.prior(tree, good, history, frozenset(["drivers/net/tun.c"]), sources)
    stack, folder, unread, makefile = prior.tolist()
    assert stack > folder > makefile > unread > 0
    assert prior.sum() == pytest.approx(1)
    note = hints.to_note(prior, ["drivers/net/tun.c"])
    assert np.array_equal(hints.from_note(note, len(history)), prior)
    assert hints.from_note(note, len(history) + 1) is None
    assert hints.from_note({}, len(history)) is None
