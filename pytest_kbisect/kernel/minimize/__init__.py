"""A small configuration from a whole one: what a run executed, and the symbols that gate that."""
