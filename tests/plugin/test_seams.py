"""What other plugins may add: each seam is filled by the plugin that the documentation shows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pages
import pytest
from whole import Place, needs_tools

from pytest_kbisect.errors import ExitCode

LONGEST = 40
"""Lines of a plugin that fills one seam, at most."""

pytestmark = needs_tools


@pytest.fixture
def place(tmp_path):
    """Five commits, the third of which brings the crash."""
    place = Place(tmp_path)
    place.grow(2, "before")
    place.culprit = place.play("The culprit", "crash")
    place.grow(2, "after")
    return place


def install(place: Place, name: str) -> str:
    """Put a plugin of the documentation where Python finds it; returns its module's name."""
    text = pages.plugin(name)
    assert len([line for line in text.splitlines() if line.strip()]) <= LONGEST
    (place.path / name).write_text(text)
    return name.removesuffix(".py")


@pytest.mark.bisection
def test_a_symptom(tmp_path) -> None:
    place = Place(tmp_path)
    module = install(place, "output_symptom.py")
    (place.path / "crash.sh").write_text("# kbisect-bad-when: output slow: [0-9]+\n")
    place.grow(1, "before")
    culprit = place.play("The culprit", "print slow: 118 ms")
    place.grow(1, "after")
    done = place.bisect("-p", module, PYTHONPATH=str(place.path))
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["symptom"], told["crash"]) == (culprit, "output", "output: /slow: [0-9]+/")


@pytest.mark.bisection
def test_a_strategy(place) -> None:
    module = install(place, "oldest_first.py")
    words = ("-p", module, "--kbisect-strategy=oldest-first", "--kbisect-runs=2")
    done = place.bisect(*words, PYTHONPATH=str(place.path))
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == place.culprit
    tested = dict.fromkeys(r["tested"]["commit"] for r in place.journal() if r["kind"] == "tested")
    line = place.linux.git("rev-list", "--reverse", f"{place.linux.base}..HEAD").split()
    # The bad end, the oldest ones until one crashes, then the end without the culprit.
    assert list(tested)[:4] == [line[-1], *line[:3]]
    replayed = place.pytest(
        "-p",
        module,
        "--kbisect-strategy=oldest-first",
        "--kbisect-replay=result/journal.jsonl",
        PYTHONPATH=str(place.path),
    )
    assert "here: culprit" in replayed.out


def test_a_strategy_that_nobody_offers(place) -> None:
    done = place.bisect("--kbisect-strategy=best")
    assert done.code == ExitCode.USAGE
    assert done.err.splitlines() == [
        "ERROR: --kbisect-strategy: 'best' cannot be used: no plugin offers it, choose one of bayes, classic"
    ]


def test_a_strategy_that_two_plugins_offer(place) -> None:
    (place.path / "second.py").write_text(
        "def pytest_kbisect_strategies():\n"
        "    from pytest_kbisect.strategies.classic import CLASSIC\n"
        "    return [CLASSIC]\n"
    )
    done = place.bisect("-p", "second", "--kbisect-strategy=classic", PYTHONPATH=str(place.path))
    assert done.code == ExitCode.USAGE
    assert done.err.startswith("ERROR: --kbisect-strategy: two plugins offer 'classic'")


@pytest.mark.bisection
def test_an_executor(place) -> None:
    """Each session runs in another folder, and leaves its results where they belong."""
    module = install(place, "copies.py")
    (place.path / "tmp").mkdir()
    environment = {"PYTHONPATH": str(place.path), "TMPDIR": str(place.path / "tmp")}
    done = place.bisect("-p", module, "--kbisect-executor=copies", **environment)
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == place.culprit
    logs = [log.read_text() for log in (place.path / "result" / "sessions").rglob("session.log")]
    assert len(logs) == len([record for record in place.journal() if record["kind"] == "tested"])
    assert all(f"rootdir: {place.path}/tmp/copy-" in log for log in logs)
    assert not list((place.path / "tmp").glob("copy-*"))


TWO_MACHINES = """
import json
from pathlib import Path

from pytest_kbisect import LocalExecutor

class TwoMachines(LocalExecutor):
    name = "two"
    capacity = 2

    def start(self, session):
        with Path("started.jsonl").open("a") as file:
            print(json.dumps(session.command), file=file)
        return super().start(session)

def pytest_kbisect_executors():
    return [TwoMachines()]
"""


@pytest.mark.bisection
def test_an_executor_with_machines_of_its_own(place) -> None:
    """As many commits at a time as it has machines; each session has all guests and processors of one."""
    (place.path / "two.py").write_text(TWO_MACHINES)
    words = ("-p", "two", "--kbisect-executor=two", "--kbisect-at-once=3", "-n2")
    done = place.bisect(*words, PYTHONPATH=str(place.path))
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == place.culprit
    assert "commits: 2 at a time, 2 guests each" in done.out
    commands = [json.loads(line) for line in (place.path / "started.jsonl").read_text().splitlines()]
    assert not any(word.startswith("--kbisect-jobs") for command in commands for word in command)
    assert any(record.get("at_once") == 2 for record in place.journal())


def test_an_executor_that_nobody_offers(place) -> None:
    done = place.bisect("--kbisect-executor=cloud")
    assert done.code == ExitCode.USAGE
    assert done.err.splitlines() == [
        "ERROR: --kbisect-executor: 'cloud' cannot be used: no plugin offers it, choose one of dask, local"
    ]


@pytest.mark.parametrize("hook", ["pytest_kbisect_strategies", "pytest_kbisect_executors"])
def test_an_entry_that_is_none(place, hook) -> None:
    (place.path / "careless.py").write_text(f"def {hook}():\n    return ['mine']\n")
    done = place.bisect("-p", "careless", PYTHONPATH=str(place.path))
    assert done.code == ExitCode.USAGE
    (line,) = done.err.splitlines()
    assert line.startswith(f"ERROR: the hook {hook} returned 'mine', which is not of type ")
    assert line.endswith(": fix or remove that plugin")


class Server(HTTPServer):
    """Takes JSON; `answer` is the status that it gives."""

    def __init__(self, answer: int) -> None:
        self.posted: list[dict] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posted.append(json.loads(body))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.mark.bisection
@pytest.mark.parametrize("answer", [200, 500])
def test_an_observer(place, answer) -> None:
    """One that cannot post leaves notes, and takes nothing away."""
    module = install(place, "post_results.py")
    with Server(answer) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        done = place.bisect("-p", module, PYTHONPATH=str(place.path), RESULTS_URL=url)
        server.shutdown()
    assert done.code == ExitCode.FOUND, done.out + done.err
    *commits, end = server.posted
    tested = [record["tested"] for record in place.journal() if record["kind"] == "tested"]
    assert [one["commit"] for one in commits] == [one["commit"] for one in tested]
    assert {outcome for one in commits for outcome in one["outcomes"]} == {"ok", "crashed"}
    assert (end["kind"], end["culprit"]) == ("culprit", place.culprit)
    failed = [note for note in done.notes if note.startswith("an observer (")]
    assert len(failed) == (2 if answer == 500 else 0)  # one note for each hook
