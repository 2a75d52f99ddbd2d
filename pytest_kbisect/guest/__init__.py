"""From a kernel image to a guest that runs commands: accelerator, image, QEMU, snapshots, ssh, console."""

from pathlib import Path
from typing import Final

THAW_SOURCE: Final = Path(__file__).parent / "thaw.c"
"""The program that a restored guest runs first."""
