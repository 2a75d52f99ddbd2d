"""From a kernel image to a guest that runs commands: accelerator, image, QEMU, ssh, console."""
