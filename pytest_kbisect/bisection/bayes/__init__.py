"""The default strategy: everything known is a probability, and what tells most per second is tried next.

`strategy` decides. What it knows: which commits tests tell apart (`partition`), what runs say while nobody
knows the crash chance (`crashchance`), both with all evidence (`posterior`), what speaks for a commit
beforehand (`priors`), which commits can be tested (`testable`), and all of this together (`state`). What it
makes of that: the next experiment (`choice`), several at once (`together`), the last word (`confirm`).
"""

from pytest_kbisect.bisection.bayes.strategy import FIRST_RUNS, Bayes

__all__ = ["FIRST_RUNS", "Bayes"]
