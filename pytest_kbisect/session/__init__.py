"""What happens inside one pytest session, whether a bisection started it or a person.

session_request is what the session is asked (one JSON file); shared is what all its tests use: the tree,
the kernels, the guest image, the accelerator. watching observes whether a run executes given functions,
expectation says which crash title a test expects, and events reports progress to the driver, which can do
without.
"""
