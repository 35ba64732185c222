"""What a mail system does around a transaction, without I/O: trace lines (4.1.1 DATA, 4.1.2)."""
