"""Which commit broke it. The driver tests one commit after the other, each in a pytest session of its own.

Follow driver.main(): launcher.selecting (what the arguments select) -> workplace (the results folder and its
lock) -> stages (a good end among the releases, the search, the revert) -> search (one range) -> strategy (the
next experiment, or the answer) -> experiment_runner (make it, and write it to the journal) -> launcher (the
command of a session; its JUnit XML: session_report) -> executor (run it) -> evidence -> strategy again.
conclusion makes a result of the answer.

Pure, without I/O, clock or randomness: strategies (Bayesian, git bisect's order, the walk over releases),
history and ancestry (the commits of A..B), outcome (Run, CommitResult), reference and related (which
crashes are the bug's), run_counts and verdict (what counted runs say), evidence (all of it, by kernel),
release_tags, reverting, witness. search_state gives commits by hash and title; hints asks the tree for
priors, once; replay and replaying read other people's logs.
"""
