"""The benchmarks: `python -m bench`, described in bench/README.md.

    figures      samples, medians, ratios, straight lines through points
    results      what a run has found, as JSON
    rounds       how often, and in which order: interleaved, warmed up, of a second each
    environment  the peers, in a virtual environment of their own
    machine      what it ran on
    processes    programs that are measured: begun on a core of their own, and asked
    worker       the inside of a program that does work when asked
    bodies       six kinds of mail data
    load         what is sent to servers
    subjects     who takes part: servers, clients, and things in memory
    measures/    what is measured, a module for each
    targets      what is to be reached, as ratios within one run
    tables       Markdown
    plots        SVG, by matplotlib
    document     the tables in docs/performance.md
    servers/     a program for each server
    clients/     a program for each client
    inside/      a program for each thing that runs in memory, without sockets

A module imports only from those above it. The programs run in the environment of the peers.
"""
