"""From a commit and a configuration to a built kernel in the store.

Follow provide(): tree (which commit) -> config (what is asked for) -> toolchain (by what) -> store
(is it there?) -> unchanged (is there one that it would be?) -> build: worktrees (check it out) -> output
(is what lies in O= to be trusted?) -> configure (the .config, and why it lacks something: dependencies)
-> make, and diagnosis of its failure -> sources (what was read) -> signature -> store -> image, the
fact that travels on. holders and host_limits serve several of them; ahead does all of it in the
background, and symbols once more for a crash's stack. rules hold for all builds.
"""
