"""From a commit and a configuration to a built kernel in the store.

Follow provide(): tree (which commit) -> config (what is asked for) -> toolchain (by what) -> store
(is it there?) -> build: worktrees (check it out) -> output (is what lies in O= to be trusted?) ->
configure (the .config, and why it lacks something: dependencies) -> make, and diagnosis of its failure
-> signature -> store -> image, the fact that travels on. locks and headroom serve several of them.
"""
