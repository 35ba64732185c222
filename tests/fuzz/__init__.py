"""Fuzzing: what any input leads to, for each reader of the library.

`targets` says what has to hold, `seeds` has what to begin with, and `python -m tests.fuzz` lets
atheris look for an input where it does not hold. The ordinary tests (tests/test_fuzz.py) run the
same targets, without atheris, on the seeds and on what comes of them by small changes.
"""
