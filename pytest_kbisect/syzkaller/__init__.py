"""syz programs as reproducers, run by the user's own syzkaller.

Nothing here fetches syzkaller, and what builds it is a command of the user's.
"""
