"""Why a symbol is not there, told from Kconfig files."""

# ruff: noqa: E101 - Kconfig indents with a tab, help texts with two blanks more

from __future__ import annotations

import pytest

from pytest_kbisect.kernel.dependencies import Kconfig, holds, split_and

FILES = {
    "Kconfig": """\
mainmenu "Linux/$(ARCH) Kernel Configuration"
source "arch/$(SRCARCH)/Kconfig"
source "net/Kconfig"
source "drivers/net/Kconfig"
source "lib/Kconfig*.debug"
""",
    "arch/x86/Kconfig": """\
config 64BIT
	bool "64-bit kernel" if "$(ARCH)" = "x86"
	help
	  Say yes to build a 64-bit kernel - formerly known as x86_64
	  config FAKE

	  depends on NOTHING
config X86
	def_bool y
""",
    "net/Kconfig": """\
menuconfig NET
	bool "Networking support"

if NET

config INET
	bool "TCP/IP networking"

menu "Things"
	depends on INET && !TINY

config THING
	tristate "A thing"	# with a comment
	depends on THING_CORE \\
		|| COMPILE_TEST

config THING_CORE
	tristate

endmenu
endif
""",
    "drivers/net/Kconfig": """\
menuconfig NETDEVICES
	depends on NET
	bool "Network device support"
if NETDEVICES
config TUN
	tristate "Universal TUN/TAP device driver support"
	depends on INET
	select CRC32
endif # NETDEVICES
""",
    "lib/Kconfig.debug": """\
config KASAN
	bool "KASAN"
	depends on (HAVE_KASAN && 64BIT) && $(cc-option,-fsanitize=kernel-address)
	depends on GONE
""",
}


@pytest.fixture
def kconfig(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Kconfig(tmp_path, "x86")


@pytest.mark.parametrize(
    ("symbol", "values", "why"),
    [
        ("NOPE", {}, "no such symbol at this commit"),
        ("FAKE", {}, "no such symbol at this commit"),
        ("TUN", {"NET": "y", "NETDEVICES": "y"}, "depends on INET"),
        ("TUN", {"NET": "y", "INET": "y"}, "depends on NETDEVICES"),
        ("TUN", {"INET": "y"}, "depends on NETDEVICES, which depends on NET"),
        ("THING", {"NET": "y", "INET": "y", "TINY": "y", "THING_CORE": "m"}, "depends on !TINY"),
        ("THING", {"NET": "y", "INET": "y"}, "depends on THING_CORE || COMPILE_TEST"),
        ("THING_CORE", {"NET": "y", "INET": "y"}, "it cannot be set by hand, other symbols select it"),
        ("KASAN", {"64BIT": "y", "HAVE_KASAN": "y"}, "depends on GONE (no such symbol at this commit)"),
        ("KASAN", {"64BIT": "y", "GONE": "y"}, "depends on HAVE_KASAN (no such symbol at this commit)"),
        ("NET", {}, ""),
    ],
)
def test_explanation(kconfig, symbol, values, why):
    assert kconfig.explain(symbol, values) == why


@pytest.mark.parametrize(
    ("expression", "values", "result"),
    [
        ("A", {"A": "y"}, True),
        ("A", {"A": "m"}, True),
        ("!A", {"A": "y"}, False),
        ("A=n", {}, True),
        ("A!=m", {"A": "m"}, False),
        ("A || B && C", {"A": "y"}, True),
        ("(A || B) && C", {"A": "y"}, False),
        ("!(A && B)", {"A": "y"}, True),
        ("NR_CPUS > 1", {"NR_CPUS": "64"}, True),
        ('ARCH = "x86"', {"ARCH": '"x86"'}, True),
        ("$(success,true) && A", {"A": "y"}, True),
        ("A &&", {}, True),
    ],
)
def test_expressions(expression, values, result):
    assert holds(expression, values) is result


def test_split_at_top_level_only():
    assert split_and("A && (B || C && D) && !E") == ["A", "B || C && D", "!E"]
    assert split_and("(A && B) && (C)") == ["A", "B", "C"]
    assert split_and("A && B || C") == ["A && B || C"]
