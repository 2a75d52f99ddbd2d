"""From a commit and a configuration to a built kernel in the store."""
