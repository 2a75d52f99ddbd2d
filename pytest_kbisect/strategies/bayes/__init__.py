"""The default strategy: Bayesian inference. It makes the experiment with the most information per second.

`bayesian` decides. It infers from: the classes of commits that tests distinguish (`partition`); the
likelihood of runs with unknown crash chance (`crashchance`), also if a second commit changes it (`changes`);
the posterior of both given all evidence (`posterior`); the priors of commits (`priors`); the chance that a
commit can be tested (`testable`); and all of this together (`state`). It chooses the next experiment
(`choice`), several in parallel (`together`), and the final confirmation (`confirm`), which judges each commit
by its own runs (`alone`).
"""

from pytest_kbisect.strategies.bayes.bayesian import BAYES, FIRST_RUNS, MAYBE_OLDER, OLDER, Bayes

__all__ = ["BAYES", "FIRST_RUNS", "MAYBE_OLDER", "OLDER", "Bayes"]
