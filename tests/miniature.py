"""A miniature Linux: a real git repository whose Makefile understands what we ask of kbuild's."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from pytest_kbisect.kernel import config

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
# A young kernel, to which no remedy applies: -fno-PIE -fzero-init-padding-bits=all
VERSION = 6
PATCHLEVEL = 1
SUBLEVEL = 7
EXTRAVERSION =
o := $(abspath $(O))
UBSAN = $(shell grep -q CONFIG_UBSAN=y $(o)/.config && echo -DCONFIG_UBSAN)

tinyconfig:
	@mkdir -p $(o) && : >$(o)/.config

olddefconfig:
	@sh scripts/olddefconfig.sh $(o)/.config

bzImage: $(o)/vmlinux
	@mkdir -p $(o)/arch/x86/boot && cp $(firstword $(wildcard scripts/image) $(o)/vmlinux) $(o)/arch/x86/boot/bzImage
	@echo '  BUILD   arch/x86/boot/bzImage'

$(o)/vmlinux: init/main.c $(wildcard include/*/*.h) $(o)/.config
	@mkdir -p $(o)/include/generated $(o)/include/config
	@echo '#define LINUX_COMPILER "fake gcc"' >$(o)/include/generated/compile.h
	@echo '6.1.0-kbisect' >$(o)/include/config/kernel.release
	@echo '  CC      init/main.o'
	@sh scripts/slowly.sh
	@echo once >>$(BUILDS)
	@mkdir -p $(o)/init && sh scripts/fixdep.sh init/main.c >$(o)/init/.main.o.cmd
	@gcc -g -Iinclude $(UBSAN) -nostdlib -static -Wl,--build-id -Wl,-e,start -o $@ init/main.c
modules:
	@echo '  CC [M]  init/module.o' && touch $(o)/init/module.ko

modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.1.0-kbisect
	@cp $(o)/init/module.ko $(INSTALL_MOD_PATH)/lib/modules/6.1.0-kbisect

bindeb-pkg:
	@cp $(o)/vmlinux linux-image-6.1.0-kbisect_1_amd64.deb

.DELETE_ON_ERROR:
"""

# A symbol is known if Kconfig has it, the last setting of one counts, all else is dropped.
OLDDEFCONFIG = r"""
awk 'NR == FNR { if ($1 == "config") known["CONFIG_" $2]; next }
     /^CONFIG_/ { split($0, part, "="); value[part[1]] = $0 }
     /^# CONFIG_.* is not set$/ { delete value[$2] }
     END { for (name in value) if (name in known) print value[name] }' Kconfig "$1" | sort >"$1.new"
mv "$1.new" "$1"
"""

MERGE_CONFIG = """\
shift
base=$1
shift
cat "$@" >>"$base"
"""

# What a target was compiled from, as a .cmd file says it.
FIXDEP = r"""
printf 'source_init/main.o := ../%s\n\ndeps_init/main.o := \\\n' "$1"
gcc -Iinclude -MM "$1" | tr ' \\' '\n\n' | sed -n 's,^\(.*\.h\)$,  ../\1 \\,p'
"""

MAIN = "int answer = 42;\nvoid start(void)\n{\n\tfor (;;)\n\t\tanswer++;\n}\n"


class FakeLinux:
    """A repository to make commits in. `builds` counts how often it was compiled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.counter = path.parent / "builds"
        self.git("init", "-q", "--template=", "-b", "master")
        symbols = [symbol for symbol, _ in config.for_guest().settings]
        kconfig = "".join(
            f"config {symbol}\n\tbool\n\n" for symbol in [*symbols, "TUN", "VIRTIO_BLK", "UBSAN", "MODULES"]
        )
        self.base = self.commit(
            "Linux 6.1",
            {
                "Makefile": MAKEFILE.replace("$(BUILDS)", str(self.counter)),
                "Kconfig": kconfig,
                "scripts/olddefconfig.sh": OLDDEFCONFIG,
                "scripts/kconfig/merge_config.sh": MERGE_CONFIG,
                "scripts/fixdep.sh": FIXDEP,
                "scripts/slowly.sh": "",
                "init/main.c": MAIN,
                ".gitignore": ".*\n",
            },
        )

    def git(self, *words: str) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A U Thor",
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_COMMITTER_NAME": "C O Mitter",
            "GIT_COMMITTER_EMAIL": "committer@example.org",
            "GIT_AUTHOR_DATE": "2021-01-13T08:18:19 -0800",
            "GIT_COMMITTER_DATE": "2021-01-14T00:00:00 +0000",
        }
        return subprocess.run(
            ["git", *words], cwd=self.path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if files:
            self.git("add", "-f", *files)
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    @property
    def builds(self) -> int:
        return len(self.counter.read_text().splitlines()) if self.counter.exists() else 0

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the checkout and of .git, with its time: what we must leave alone."""
        return {
            str(path.relative_to(self.path)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }
