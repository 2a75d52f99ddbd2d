"""Consoles with what is expected of each: the project's own, and syzkaller's where there is a checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from corpus import wrong_fields

OWN = sorted((Path(__file__).parent / "logs").iterdir())
CORPUS_VARIABLE = "KBISECT_CRASH_CORPUS"
ENOUGH = 0.93


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_log(path):
    assert wrong_fields(path) == []


def test_corpus():
    folder = os.environ.get(CORPUS_VARIABLE)
    if not folder:
        pytest.skip(
            f"no corpus: set {CORPUS_VARIABLE} to pkg/report/testdata/linux/report of a syzkaller checkout"
        )
    files = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
    wrong = {path.name: found for path in files if (found := wrong_fields(path))}
    assert len(wrong) <= (1 - ENOUGH) * len(files), wrong
