"""`kbisect doctor` and ways to look inside, with real guests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect.commands import main
from pytest_kbisect.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.guest
def test_a_kernel_of_the_store_is_booted(buggy_kernel, real_cache: Path, capsys) -> None:
    assert main(["doctor", "--json", "--kbisect-cache", str(real_cache)]) == ExitCode.FOUND
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert re.fullmatch(r"Linux \S+ booted in [\d.]+ s \((kvm|tcg)\)", findings["guest"]["text"])
    assert findings["kvm"]["state"] in {"ok", "warning"}
