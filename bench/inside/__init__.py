"""A program for each thing that runs in memory: bytes in, bytes out, no socket and no system call.

    python -m bench.inside.NAME SIZE [OPTION]

SIZE is that of a body, in octets. Receivers are given what a server reads, a command at a time and
mail data in pieces of 64 KiB, and have to answer; senders are asked for commands, and are given the
replies. Units are commands with their replies, and octets of mail data as they go over the channel.
"""
