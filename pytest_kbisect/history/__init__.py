"""The commits of a range A..B, on the real graph: candidates, and who is whose ancestor. Pure."""
