"""What people and programs read.

While it runs: testreport (a test's outcome, as JUnit properties), terminal and live (what is printed),
bisectlog (the lines of bisect.log). Afterwards folder writes everything from a ReportModel, which reading
makes of journal.jsonl and result.json: page with picture, mail, gitlog, junit, repeat. text, words and
trailers are the phrases they share, consoles finds and cuts the consoles of the runs.
"""
