"""The demo's kernel history: a distribution's Linux and 128 commits on top of it, one of which breaks it."""
