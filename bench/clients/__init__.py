"""A program for each client: it sends messages of 1 KiB when asked.

    python -m bench.clients.NAME PORT

Its tasks are numbers of connections: "1", and "10" for those that can have ten at once in a thread.
Each connection sends its share of the messages, one after the other, as its library's documentation
shows it.
"""
