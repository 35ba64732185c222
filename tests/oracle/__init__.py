"""An independent oracle: RFC 821 once more, naively, as a second opinion on the library.

Nothing here is shared with smtp821, not even a table: each rule is typed out from the RFC, with its
section, as strings and ifs over one octet after the other. Where the RFC leaves room, it is read as
docs/rfc821-notes.md says (AMB-nn). It is slow, it trusts whoever calls it, and it is made to be
compared with, in tests/test_oracle.py.
"""
