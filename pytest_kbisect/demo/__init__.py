"""The demo's kernel history: Debian's source of Linux 6.1 with 128 commits on top, one of which breaks it."""
