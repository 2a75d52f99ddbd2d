"""The default strategy: everything known is a probability, and what tells most per second is tried next.

`strategy` decides. What it knows: which commits tests tell apart (`partition`), what runs say while nobody
knows the crash chance (`crashchance`), both with all evidence (`posterior`), what speaks for a commit
beforehand (`priors`), which commits can be tested (`testable`), and all of this together (`state`). What it
makes of that: the next experiment (`choice`), several at once (`together`), the last word (`confirm`), for
which the runs of each commit speak by themselves (`alone`).
"""

from pytest_kbisect.strategies.bayes.bayesian import BAYES, FIRST_RUNS, MAYBE_OLDER, OLDER, Bayes

__all__ = ["BAYES", "FIRST_RUNS", "MAYBE_OLDER", "OLDER", "Bayes"]
