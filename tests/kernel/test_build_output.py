"""What a killed make leaves in an O= folder is not trusted; what was there before is."""

from __future__ import annotations

import json
import os
import time

import pytest

from pytest_kbisect.kernel.output import Output

MARKER = ".kbisect-building"


def put(folder, *names, age=0.0):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        then = time.time() - age
        os.utime(path, (then, then))


@pytest.fixture
def output(tmp_path):
    output = Output(tmp_path / ".obj-1")
    output.open()
    output.state["commit"] = "1234"
    output.end()
    put(output.path, "mm/old.o", "mm/.old.o.cmd", "include/config/OLD", age=60)
    return output


def test_what_a_make_that_ended_in_order_wrote_is_kept(output):
    output.begin()
    put(output.path, "mm/new.o")
    output.end()
    again = Output(output.path)
    again.open()
    assert again.state == {"commit": "1234"}
    assert (output.path / "mm/new.o").exists()


def test_what_a_killed_make_wrote_is_deleted(output):
    output.begin()
    time.sleep(0.02)
    put(output.path, "mm/half.o", "mm/.half.o.tmp", "include/generated/asm-offsets.h")
    put(output.path, "include/config/NEW", "include/generated/autoconf.h", ".config")
    again = Output(output.path)
    again.open()
    left = sorted(str(path.relative_to(output.path)) for path in output.path.rglob("*") if path.is_file())
    assert left == [
        ".config",
        ".kbisect-state",
        "include/config/NEW",
        "include/config/OLD",
        "include/generated/autoconf.h",
        "mm/.old.o.cmd",
        "mm/old.o",
    ]
    assert again.state == {"commit": "1234"}


@pytest.mark.parametrize("marker", [json.dumps({"boot": "another"}), "", "{"])
def test_the_host_went_down(output, marker):
    (output.path / MARKER).write_text(marker)
    again = Output(output.path)
    again.open()
    assert again.state == {}
    assert list(output.path.iterdir()) == []


def test_a_cleared_folder_leaves_nothing_behind(output):
    output.clear()
    assert output.state == {}
    assert [path.name for path in output.path.parent.iterdir()] == [".obj-1"]
