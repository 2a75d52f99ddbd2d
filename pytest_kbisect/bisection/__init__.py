"""Which commit broke it. The driver tests one commit after the other, each in a pytest session of its own.

Follow driver.main(): launcher.selecting (what the arguments select) -> workplace (the results folder and its
lock) -> stages (a good end among the releases, the search, the revert) -> search (one range) -> strategy (the
next experiment, or the answer) -> experiment_runner (make it, and write it to the journal) -> launcher (the
command of a session; its JUnit XML: session_report) -> executor (run it) -> evidence -> strategy again.
conclusion makes a result of the answer.

The packages below decide, without I/O, clock or randomness: strategies (the next commit), evidence (which
crashes are the bug, what counted runs say, all of it by kernel) and history (the commits of A..B). Here,
search_state gives commits by hash and title, remarks are what the log says of the evidence, hints asks the
tree for priors, once, and replay and replaying read other people's logs.
"""
