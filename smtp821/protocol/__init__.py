"""RFC 821 without I/O: bytes in, events out, replies and commands back. See docs/design.md."""
