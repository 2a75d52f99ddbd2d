"""Which commit broke it. The driver tests one commit after the other, each in a pytest session of its own.

Follow driver.main(): lab.selecting (what the arguments select) -> workplace (the results folder and its
lock) -> course (the stages: a good end among the releases, the search, the revert) -> search (one range) ->
strategy (the next experiment, or the answer) -> trials (make it, and write it to the journal) -> lab (the
command of a session; its JUnit XML: session_report) -> executor (run it) -> evidence -> strategy again.
conclusion makes a result of the answer.

Pure, without I/O, clock or randomness: history and ancestry (the commits of A..B), outcome (Run, Tested),
reference and likeness (which crashes are the bug's), tally and verdict (what counted runs say), evidence
(all of it, by kernel), halving and classic (git bisect's order), bayes (the default strategy), release_tags
and release_walk (which releases to try, and the search over them), reverting, witness. standing tells commits
by hash and title; hints asks the tree for priors, once; replay and replaying read other people's logs.
"""
