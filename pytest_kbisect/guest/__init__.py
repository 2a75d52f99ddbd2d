"""From a kernel image to a guest that runs commands.

Follow guests.Guests.guest(): pool (is a guest of this kind frozen already?) -> lease (the use of one
place in the pool) -> vm.Guest (one guest) -> qemu (its process: command line, QMP) -> readiness (is it up?)
-> ssh -> freeze and restore: migration (QEMU's state through a pipe), resume (time and randomness for the
restored guest). While commands run, watch reads the console and ssh_diagnosis finds out why ssh failed;
reached notes which functions are executed.

    frozen     a guest stopped after its boot: its memory in a file, QEMU's state and the console so far
    place      a folder of the pool for one frozen guest; a lease is the use of it by one process
    snapshot   what a lease of a filled place gives: the frozen guest with its open files
    layer      a qcow2 overlay over the user's disk image, thrown away in the end (disk, qcow2)
    line       the second serial port, over which a restored guest is resumed

initramfs makes the user space (cpio: the archive), accelerator chooses KVM or TCG.
"""

from pathlib import Path
from typing import Final

RESUME_SOURCE: Final = Path(__file__).parent / "resume.c"
"""The program that a restored guest runs first."""
