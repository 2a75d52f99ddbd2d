"""A bug of syzbot's as input: read its JSON, page or mail, choose a crash, and make a bisection ready.

Reading and choosing are pure; `dashboard` fetches, `saved_bug` reads folders and `bisection_case` writes one.
"""
