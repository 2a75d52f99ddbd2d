"""What a session is asked to find out about a commit, and what each of several sessions at a time gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """One experiment, as a session makes it: build a commit, and run the reproducers `runs` times on it.

    `stop`: a crash with one of these titles (any crash, if there are none) ends the session; None makes all
    runs. Kernels whose signature is in `known` are built and not run: what is known of them holds. `expect`
    are titles of the crash that is looked for: a run ends as soon as it has shown one. `watch` are functions
    of which each run tells whether it executes them, and with `idle` whether the guest does before the
    reproducer begins. `strict`: a configuration that the commit cannot have is an error, not a reason to skip
    it. `code`: each run states what of the kernel it executed. `configuration` is the text of a whole
    configuration to build with; empty: the user's own; None: the one that the bisection has settled on.
    `phase` is "configuration" (finding that one), "range" (looking for a good end), "search", "merge" (into
    the merge that was found), "base" (does a fix bisection's commit descend from the bug?) or "revert". The
    experiment is one of `at_once` that are made side by side. `host` is where it should run: "" if any host
    will do.
    """

    commit: str
    runs: int
    reason: str
    title: str = ""
    stop: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    idle: bool = False
    strict: bool = False
    code: bool = False
    configuration: str | None = None
    phase: str = "search"
    at_once: int = 1
    host: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """What each of several sessions at once gets: `guests` at a time, and its part of `jobs` for its build.

    `guests` is None where sessions run one guest each anyway. At most `sessions` run at once; one that runs
    alone has the guests of all.
    """

    jobs: int
    guests: int | None = None
    sessions: int = 1

    def options(self, at_once: int, tests: int) -> list[str]:
        """What pytest is told in one of so many sessions, which runs so many tests."""
        jobs = f"--kbisect-jobs={max(1, self.jobs // at_once)}"
        if self.guests is None:
            return [jobs]
        guests = self.guests if at_once > 1 else min(self.guests * self.sessions, tests)
        return [f"-n{guests if guests > 1 else 0}", jobs]
