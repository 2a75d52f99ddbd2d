"""What a user controls of a search besides its ends: checked before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect import options
from pytest_kbisect.bisection import known_log, path_prior, registry
from pytest_kbisect.bisection.several import each
from pytest_kbisect.errors import UsageError
from pytest_kbisect.symptoms.metric import NAME as METRIC

if TYPE_CHECKING:
    import pytest

    from pytest_kbisect.bisection.known_log import Known
    from pytest_kbisect.bisection.launcher import Selection
    from pytest_kbisect.kernel.tree import LinuxTree, Range

_WEIGHED = ("known", "paths")
"""Options that only a strategy with probabilities can take account of."""


def check(config: pytest.Config, tree: LinuxTree, ends: Range) -> None:
    """Check the options against each other and against the range.

    Raises UsageError for paths that no commit touches, and for a patch that does not apply.
    """
    for option in _WEIGHED:
        if options.value(config, option) and not registry.strategy(config).probabilistic:
            raise UsageError(
                f"--kbisect-{option} needs a strategy that weighs evidence: use --kbisect-strategy bayes instead "
                f"of {options.value(config, 'strategy')}"
            )
    if options.value(config, "into-merge") and not options.value(config, "first-parent"):
        raise UsageError("--kbisect-into-merge is a second step: add --kbisect-first-parent")
    if ends.good:
        path_prior.require(tree, ends.good, ends.bad, options.value(config, "paths"))
    _check_patches(config, tree, ends)


def check_metric(config: pytest.Config, selection: Selection) -> None:
    """Raise UsageError where a metric is looked for in a way that cannot find it."""
    if METRIC not in selection.symptoms:
        return
    if len(selection.symptoms) > 1 or selection.per_run > 1:
        raise UsageError(
            "a metric is bisected with one reproducer in one configuration: name one file, or use -k; bisect the "
            "others one after the other"
        )
    if options.value(config, "ask"):
        raise UsageError("--kbisect-ask takes a person's verdicts, and a metric has none: remove one of them")
    if not options.value(config, "icount") and registry.executor(config).name != "local":
        raise UsageError(
            "a metric is measured on one machine, workers of a cluster differ: use --kbisect-executor local, or add "
            "--kbisect-icount"
        )
    if not registry.strategy(config).probabilistic:
        raise UsageError(
            "a metric needs a strategy that weighs evidence: use --kbisect-strategy bayes instead of "
            f"{options.value(config, 'strategy')}"
        )


def _check_patches(config: pytest.Config, tree: LinuxTree, ends: Range) -> None:
    from pytest_kbisect.kernel import patches

    wanted = options.build_rules(config).patches
    if wanted and options.value(config, "prebuilt"):
        raise UsageError(
            "--kbisect-patch changes sources, and packages have none: remove it or --kbisect-prebuilt"
        )
    end = ends.good if options.value(config, "fix") else ends.bad
    others = patches.touching(tree, wanted, ends.good, ends.bad) if wanted and ends.good else ()
    patches.require(tree, wanted, end, others)


def known_of_each(
    config: pytest.Config, tree: LinuxTree, ends: Range, selection: Selection
) -> dict[str, tuple[Known, ...]]:
    """The verdicts that the user has, by test. Raises UsageError for what cannot be used."""
    fix = options.value(config, "fix")
    found = each.known(config, tree, tuple(each.names_of(selection)), fix=fix)
    for own in found.values():
        known_log.check_ends(own, ends, fix=fix)
    return found


def known(config: pytest.Config, tree: LinuxTree, ends: Range) -> tuple[Known, ...]:
    """The verdicts that the user has. Raises UsageError for what cannot be used."""
    fix = options.value(config, "fix")
    found = known_log.read(options.value(config, "known"), tree, fix=fix)
    known_log.check_ends(found, ends, fix=fix)
    return found
