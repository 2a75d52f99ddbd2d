"""What may be said in a fragment, what is a whole configuration, and who contradicts whom."""

from __future__ import annotations

import pytest

from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import config, configure

WHOLE = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.0 Kernel Configuration
#
CONFIG_NET=y
# CONFIG_TUN is not set
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("CONFIG_TUN=y", ("TUN", "y")),
        ("TUN=y", ("TUN", "y")),
        ("  CONFIG_TUN=m  ", ("TUN", "m")),
        ("CONFIG_TUN=n", ("TUN", "n")),
        ("# CONFIG_TUN is not set", ("TUN", "n")),
        ("# TUN is not set", ("TUN", "n")),
        ("CONFIG_LOG_BUF_SHIFT=17", ("LOG_BUF_SHIFT", "17")),
        ("CONFIG_PHYSICAL_START=0x1000000", ("PHYSICAL_START", "0x1000000")),
        ('CONFIG_CMDLINE="console=ttyS0 a=\\"b\\""', ("CMDLINE", '"console=ttyS0 a=\\"b\\""')),
    ],
)
def test_lines_of_a_fragment(line, setting):
    assert config.parse(f"# a comment\n\n{line}\n", "x").settings == (setting,)


@pytest.mark.parametrize(
    "line", ["CONFIG_TUN", "TUN: y", "CONFIG_TUN=yes", 'CONFIG_A="x', "CONFIG_A=y # why"]
)
def test_other_lines_are_refused_by_number(line):
    with pytest.raises(UsageError, match=r"repro/tun\.c, line 2: .* is not a setting"):
        config.parse(f"CONFIG_NET=y\n{line}\n", "repro/tun.c")


def test_a_fragment_contradicts_itself():
    with pytest.raises(UsageError, match="x contradicts itself: CONFIG_A=y and # CONFIG_A is not set"):
        config.parse("A=y\nA=n\n", "x")


class TestRequest:
    def test_by_default_what_a_guest_needs_over_tinyconfig(self):
        request = config.request()
        assert not request.base
        assert request.settings()["VIRTIO_NET"] == "y"
        assert request.source_of("VIRTIO_NET") == config.GUEST

    def test_a_whole_configuration_is_the_base_and_not_asked_for(self, write):
        request = config.request([write("config-6.1", WHOLE)])
        assert request.base == WHOLE
        assert "TUN" not in request.settings()

    def test_reproducers_add_to_it(self, write):
        request = config.request([write("config-6.1", WHOLE)], [("repro/tun.c", "CONFIG_TUN=y")])
        assert request.settings()["TUN"] == "y"
        assert request.source_of("TUN") == "repro/tun.c"

    def test_two_whole_configurations(self, write):
        with pytest.raises(UsageError, match=r"a and .*/b are both whole configurations"):
            config.request([write("a", WHOLE), write("b", WHOLE)])

    def test_contradiction_names_both(self, write):
        with pytest.raises(
            UsageError, match=r"CONFIG_TUN=y \(repro/tun\.c\), # CONFIG_TUN is not set \(repro/no\.c\)"
        ):
            config.request([], [("repro/tun.c", "TUN=y"), ("repro/no.c", "# CONFIG_TUN is not set")])

    def test_what_a_guest_needs_cannot_be_taken_away(self, write):
        with pytest.raises(
            UsageError, match=r"CONFIG_NET=y \(what a guest needs\), # CONFIG_NET is not set \(.*/f\)"
        ):
            config.request([write("f", "# CONFIG_NET is not set\n")])

    def test_what_is_only_wanted_can(self, write):
        assert config.request([write("f", "# CONFIG_KVM_GUEST is not set\n")]).settings()["KVM_GUEST"] == "n"

    def test_what_would_spoil_signatures_cannot_be_asked_for(self, write):
        with pytest.raises(UsageError, match="what keeps equal code equal"):
            config.request([write("f", "CONFIG_LOCALVERSION_AUTO=y\n")])

    def test_built_in_beats_module(self):
        assert config.request([], [("a", "TUN=m"), ("b", "TUN=y")]).settings()["TUN"] == "y"
        assert config.request([], [("a", "TUN=y"), ("b", "TUN=m")]).settings()["TUN"] == "y"

    def test_a_module_is_to_be_in_the_kernel(self, write, tmp_path):
        """Where a whole configuration has modules, m would be granted, and no guest could load it."""
        request = config.request([write("w", f"{WHOLE}CONFIG_MODULES=y\n")], [("repro/tun.c", "TUN=m")])
        assert request.settings()["TUN"] == "y"
        needed = "".join(config.line_of(*pair) + "\n" for pair in request.settings().items())
        assert not configure.check(request, needed, tmp_path)
        (tmp_path / "Kconfig").write_text("config TUN\n\ttristate\n")
        missing = configure.check(request, needed.replace("CONFIG_TUN=y", "CONFIG_TUN=m"), tmp_path)
        assert [str(one).partition(", and guests")[0] for one in missing] == [
            "CONFIG_TUN=y (repro/tun.c): it is CONFIG_TUN=m"
        ]

    @pytest.mark.parametrize(
        ("content", "words"), [(None, "cannot read the configuration"), (b"\xff\xfe\x00", "is not text")]
    )
    def test_unreadable(self, tmp_path, content, words):
        path = tmp_path / "f"
        if content:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=words):
            config.request([path])

    def test_a_folder_is_unreadable_too(self, tmp_path):
        with pytest.raises(UsageError, match="Is a directory"):
            config.request([tmp_path])


class TestFingerprint:
    def test_is_of_what_is_asked_not_of_who_asks(self):
        a = config.request([], [("a", "TUN=y"), ("b", "VETH=y")])
        b = config.request([], [("c", "VETH=y\nTUN=y")])
        assert a.fingerprint == b.fingerprint

    def test_is_not_of_what_gives_way(self):
        wanted = dict(config.built_in("guest-wanted.config").settings)
        assert wanted["SLUB"] == "y"
        requests = [config.request([], [("a", line)]) for line in ("SLUB=y", "SLUB=y\nTUN=y", "SLUB=n")]
        assert len({request.fingerprint for request in [config.request(), *requests]}) == 4
        disk = [config.built_in(name).text() for name in ("disk-image.config", "disk-image-wanted.config")]
        asked = config.request([], [("a", "".join(disk))])
        assert asked.fingerprint == config.request([], [("a", disk[1])], disk_image=True).fingerprint

    def test_differs_by_value_and_base(self, write):
        requests = [
            config.request(),
            config.request([], [("a", "TUN=y")]),
            config.request([], [("a", "TUN=n")]),
            config.request([write("w", WHOLE)]),
        ]
        assert len({request.fingerprint for request in requests}) == len(requests)


def test_a_whole_configuration_is_made_reproducible_unless_somebody_asks(tmp_path):
    whole, fragment = tmp_path / "whole", tmp_path / "fragment"
    whole.write_text("#\n# Automatically generated file; DO NOT EDIT.\n#\nCONFIG_IKCONFIG=y\n")
    request = config.request([whole])
    assert ("IKCONFIG", "n") in request.wanted[0].settings
    fragment.write_text("CONFIG_IKCONFIG=y\n")
    assert config.request([whole, fragment]).settings()["IKCONFIG"] == "y"
    assert "IKCONFIG" not in str(config.request().wanted)


def test_a_disk_image_wants_more_of_a_kernel(write):
    assert "VIRTIO_BLK" not in config.request().settings()
    request = config.request(disk_image=True)
    assert {"VIRTIO_BLK", "EXT4_FS", "CGROUPS"} <= request.settings().keys()
    assert ("AUTOFS_FS", "y") in request.wanted[1].settings
    assert config.request([], [("a", "NAMESPACES=n")], disk_image=True).settings()["NAMESPACES"] == "n"
    assert "AUTOFS_FS" not in str(config.request([write("w", WHOLE)], disk_image=True).wanted)
    with pytest.raises(
        UsageError, match=r"CONFIG_EXT4_FS=y \(what a disk image needs\), # CONFIG_EXT4_FS is"
    ):
        config.request([], [("a", "EXT4_FS=n")], disk_image=True)
