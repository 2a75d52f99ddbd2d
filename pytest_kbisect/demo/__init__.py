"""The demo's kernel history: a Debian kernel tree with 120-odd commits on top, one of which breaks it."""
