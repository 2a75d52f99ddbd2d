"""What runs showed, and what it says of a commit. Pure, but for the journal.

outcome holds the facts that travel (Run, Report, CommitResult); reference says which crashes are the bug,
related asks the trace where titles do not settle it, and failure sorts the reports of one kernel by bug.
reach and witness ask whether a run executed the code of the bug at all. run_counts counts the runs of a
kernel, verdict makes good, bad or skip of them, and by_kernel collects everything by kernel signature: that
is what a strategy decides from. journal is the same on disk.
"""
