"""Which commit to test next, and when to stop. Pure: no I/O, no clock, no randomness.

strategy is the protocol: a Strategy is made from a Problem and asked with evidence. Built in are bayes (the
default), classic (git bisect's order, by halving) and release_walk (the search for a good end, over the tags
that release_tags reads).
"""
