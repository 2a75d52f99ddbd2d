"""Which commit broke it: history, evidence, strategies and verdicts (pure); driver, lab and journal (not)."""
