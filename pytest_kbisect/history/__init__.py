"""The commits of a range A..B on the real graph: candidates and ancestry. Pure."""
