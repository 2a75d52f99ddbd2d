"""What commands say over ssh, with servers that send it in another order than dropbear's."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import SimpleNamespace

import paramiko
import pytest

from pytest_kbisect.crash import CrashReport
from pytest_kbisect.errors import InfraError, KernelCrash
from pytest_kbisect.guest import ssh
from pytest_kbisect.guest.ssh import Ssh

WORDS = b"a line\n" * 1000


class Server(paramiko.ServerInterface):
    """Lets everybody in, and answers a command as `answer` does: called with a channel, in a thread.

    Where that is an event a command is not even begun: the thread that was to begin it waits for the event.
    """

    def __init__(self, answer) -> None:
        self.answer = answer

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username):
        return "publickey"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        if isinstance(self.answer, threading.Event):
            self.answer.wait(6)
            return False

        def run():
            channel.recv(1)  # the command has no input: its end comes after the reply to this request
            with contextlib.suppress(EOFError, OSError):  # the other side may hang up once it has the status
                self.answer(channel)

        threading.Thread(target=run, daemon=True).start()
        return True


@pytest.fixture
def answered(tmp_path):
    """Run a command that a server answers so."""
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"))
    opened = []

    def run(answer, **settings):
        listening = socket.create_server(("127.0.0.1", 0))
        serving = threading.Thread(target=lambda: opened.append(serve(listening, answer)), daemon=True)
        serving.start()
        image = SimpleNamespace(disk=tmp_path, client_key=tmp_path / "key")
        client = Ssh(listening.getsockname()[1], image, timeout=10)
        serving.join()
        opened.extend([listening, client])
        return client.run("true", timeout=90, **settings)

    yield run
    for one in reversed(opened):
        one.close()


def serve(listening, answer):
    transport = paramiko.Transport(listening.accept()[0])
    transport.add_server_key(paramiko.ECDSAKey.generate())
    transport.start_server(server=Server(answer))
    return transport


def test_the_status_comes_before_what_was_said(answered):
    """As OpenSSH's server does it, which does not empty the pipe first."""

    def answer(channel):
        channel.send_exit_status(3)
        time.sleep(0.15)
        channel.sendall_stderr(WORDS)
        time.sleep(0.15)
        channel.sendall(WORDS)
        channel.close()

    found = answered(answer)
    assert (found.exit_status, found.stdout, found.stderr) == (3, WORDS.decode(), WORDS.decode())


def test_a_daemon_that_keeps_the_output_open_is_not_awaited(answered):
    ended = threading.Event()

    def answer(channel):
        channel.sendall(WORDS)
        channel.send_exit_status(0)
        ended.wait(30)
        channel.close()

    found = answered(answer)
    ended.set()
    assert (found.exit_status, found.stdout) == (0, WORDS.decode())
    assert found.seconds < 5


def test_nothing_is_awaited_after_the_end(answered, monkeypatch):
    monkeypatch.setattr(ssh, "_REST", 60)

    def answer(channel):
        channel.sendall(WORDS)
        channel.shutdown_write()
        channel.send_exit_status(0)
        channel.close()

    found = answered(answer)
    assert (found.exit_status, found.stdout) == (0, WORDS.decode())
    assert found.seconds < 30


@pytest.mark.parametrize("crashed", [False, True])
def test_a_command_that_is_never_begun_is_given_up(answered, monkeypatch, crashed):
    """A kernel that hangs in fork() lets the ssh server open a channel, and start nothing in it."""
    monkeypatch.setattr(ssh, "_OPEN", 0.5)

    def check():
        if crashed:
            raise KernelCrash(CrashReport(title="INFO: task hung in copy_process"))

    started, ended = time.monotonic(), threading.Event()
    with pytest.raises(KernelCrash if crashed else InfraError):
        answered(ended, check=check)
    ended.set()
    assert time.monotonic() - started < 5
