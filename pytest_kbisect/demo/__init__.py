"""The demo's kernel history: a distribution's Linux and 128 commits on top; one of them introduces a bug."""
