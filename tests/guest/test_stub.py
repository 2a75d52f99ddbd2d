"""A guest whose gdb stub refuses something, or is late, goes on unwatched; with a stub that is none."""

from __future__ import annotations

import socket

import pytest
from played_stub import Stub

from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest import gdb_stub
from pytest_kbisect.guest.reached import Reached

ENTRIES = {"pipe_write": (0x1000,), "pipe_read": (0x2000,)}
MANY = {"a": (1,), "b": (2, 3, 4, 5, 6), "c": (7, 8), "d": (9, 10), "e": (11,), "f": (12,)}


@pytest.fixture
def stub(tmp_path, request):
    serving = Stub(tmp_path / "stub", **getattr(request, "param", {}))
    yield serving
    serving._connection.shutdown(socket.SHUT_RDWR)  # as a QEMU that ends
    serving.close()


@pytest.mark.parametrize("stub", [{"hits": [0x2000]}], indirect=True)
def test_a_hit_is_noted_and_its_breakpoint_taken_out(stub, tmp_path):
    reached = Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert (reached.hit, reached.trouble) == ({"pipe_read"}, "")
    assert stub.asked == ["Z0,1000,1", "Z0,2000,1", "c", "g", "z0,2000,1", "c"]


@pytest.mark.parametrize("stub", [{"refuses": "Z0,2000"}], indirect=True)
def test_a_breakpoint_that_cannot_be_set_does_not_hold_the_guest(stub, tmp_path):
    with pytest.raises(InfraError, match="failed at Z0,2000,1: 'E22'"):
        Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked[-1] == "D"


@pytest.mark.parametrize("stub", [{"late": 0.3}], indirect=True)
def test_nor_does_a_stub_that_answers_late(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(gdb_stub, "ANSWER", 0.1)
    with pytest.raises(InfraError, match="does not answer"):
        Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked == ["Z0,1000,1", "D"]


@pytest.mark.parametrize(
    "stub", [{"hits": [0x1000], "refuses": "g"}, {"hits": [0x1000], "refuses": "z0"}], indirect=True
)
def test_nor_one_that_fails_at_a_hit(stub, tmp_path):
    reached = Reached(tmp_path / "stub", ENTRIES)
    stub.wait(lambda stub: stub.runs)
    assert stub.asked[-1] == "D"
    assert "gdb stub" in reached.trouble


@pytest.mark.parametrize("stub", [{"hits": [7]}], indirect=True)
def test_debug_registers_are_few_and_used_again(stub, tmp_path):
    """Under KVM: a breakpoint in memory is seen by what patches code there."""
    reached = Reached(tmp_path / "stub", MANY, registers=4)
    assert reached.functions == ("a", "c", "e")
    stub.wait(lambda stub: stub.runs)
    first, later = ["Z1,1,1", "Z1,7,1", "Z1,8,1", "Z1,b,1"], ["z1,7,1", "z1,8,1", "Z1,9,1", "Z1,a,1"]
    assert stub.asked == [*first, "c", "g", *later, "c"]
    # What has a breakpoint by now had none all the time: nothing can be said of it, unless it is hit.
    assert (reached.functions, reached.hit) == (("a", "c", "e"), {"c"})
    assert reached.widen()
    assert reached.functions == ("a", "c", "e", "d")
    assert not reached.widen()
