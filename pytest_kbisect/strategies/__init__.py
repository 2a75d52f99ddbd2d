"""Which commit to test next, and when to stop. Pure: no I/O, no clock, no randomness.

strategy defines the protocol: a Strategy is created from a Problem and decides from evidence. The built-in
strategies are bayes (the default), classic (git bisect's order, by halving) and release_walk (the search for
a good end among the tags that release_tags reads).
"""
