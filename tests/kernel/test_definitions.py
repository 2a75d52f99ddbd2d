"""Where functions are defined, from the text of the tree."""

from __future__ import annotations

from pytest_kbisect.kernel.definitions import files_defining, names_mentioned
from pytest_kbisect.kernel.tree import LinuxTree

FILES = {
    "net/skbuff.c": "int pskb_expand_head(struct sk_buff *skb, int nhead,\n\t\t     gfp_t gfp)\n{\n\treturn 0;\n}\n",
    "net/user.c": "int pskb_expand_head(struct sk_buff *skb);\nvoid f(void)\n{\n\tpskb_expand_head(skb);\n}\n",
    "fs/open.c": "SYSCALL_DEFINE3(open, const char __user *, name)\n{\n}\n",
    "mm/page.c": "static struct page *\nget_page(int order)\n{\n}\n",
    "fs/name.c": "SYSCALL_DEFINE1(openat2, int, fd)\n{\n\treturn get_page(1);\n}\n",
}


def test_definitions_and_not_uses(linux, tmp_path):
    commit = linux.commit("files", FILES)
    tree = LinuxTree(linux.path, tmp_path / "cache")

    def found(*names, paths=tuple(FILES)):
        return files_defining(tree, commit, names, paths)

    assert found("pskb_expand_head") == {"net/skbuff.c"}
    assert found("__x64_sys_open", "get_page") == {"fs/open.c", "mm/page.c"}
    for name in ("open", "__do_sys_open", "SYSC_open"):
        assert found(name) == {"fs/open.c"}, name
    assert found("get_page", paths=["fs/name.c", "gone.c"]) == set()
    assert found("nothing", "0x1234", "a b") == set()
    assert found() == set()


def test_a_name_that_stands_nowhere_belongs_to_no_function(linux, tmp_path):
    commit = linux.commit("files", {**FILES, "include/page.h": "#define PAGE_OPS(x) x##_page\n"})
    tree = LinuxTree(linux.path, tmp_path / "cache")
    wanted = ("get_page", "__x64_sys_open", "put_page", "pskb_expand", "PAGE_OPS")
    found = names_mentioned(tree, commit, wanted, [*FILES, "include/page.h", "gone.c"])
    assert found == {"get_page", "__x64_sys_open", "PAGE_OPS"}
    assert names_mentioned(tree, commit, (), FILES) == set()


def test_files_are_read_in_one_go(linux, tmp_path):
    commit = linux.commit("files", {"a": "1\n", "sub/b": "\x00é\n", "empty": ""})
    tree = LinuxTree(linux.path, tmp_path / "cache")
    wanted = ["a", "gone", "sub", "sub/b", "no such file", "empty"]
    assert dict(tree.read_files(commit, wanted)) == {"a": "1\n", "sub/b": "\x00é\n", "empty": ""}
    assert dict(tree.read_files(commit, [])) == {}
