"""The tests; each cites the section of RFC 821 that it shows."""
