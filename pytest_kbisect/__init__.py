"""Boot kernels in QEMU, run crash reproducers as tests, and bisect Linux with them."""

__version__ = "0.1.0"
