"""For tests: of what speaks SMTP, and of what sends mail. Each module stands by itself.

`strategies` and `machine` need Hypothesis, and `plugin` pytest; the rest needs only this library.
"""
