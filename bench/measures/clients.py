"""Clients: how many messages of 1 KiB they send to smtp-sink, over one connection and over ten.

The client has the core of what is measured, and the sink the other. A client without an event loop
has one connection: ten would be ten threads.
"""

from __future__ import annotations

import os
import time

from ..environment import Environment
from ..figures import Sample
from ..load import smtp_source
from ..processes import LOAD, SUBJECT, pin
from ..results import Case, Measure, rates
from ..rounds import Job, Settings, compare
from ..subjects import CLIENTS, SOURCE, sink, workers
from .common import asked, missing, series

__all__ = ["measure"]


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Messages over one connection, and over ten."""
    cases = []
    with (
        sink(environment) as server,
        workers(environment, "clients", CLIENTS, str(server.port)) as (running, without),
    ):
        for connections in (1, 10):
            name = "one connection" if connections == 1 else f"{connections} connections"
            task = str(connections)
            jobs = {n: asked(w, task) for n, w in running.items() if task in w.tasks}
            if environment.has("smtp-source"):
                jobs[SOURCE] = _source(server.port, connections)
            else:
                without[SOURCE] = "smtp-source is missing"
            outcomes = compare(jobs, settings, f"clients, {name}", least=connections)
            found = series(outcomes, rates, 1.0)
            base = "" if connections == 1 else "aiosmtplib"
            cases.append(Case(name, (*found, *missing(without)), base=base))
    return [
        Measure(
            "clients",
            f"Clients: messages of 1 KiB, many per connection, to {server.name}",
            "messages/s",
            tuple(cases),
            "smtplib",
            about="smtplib has one connection at once; the base of ten is aiosmtplib.",
        )
    ]


def _source(port: int, connections: int) -> Job:
    """smtp-source in the place of a client."""

    def job(count: int) -> Sample:
        before = _children()
        began = time.perf_counter()
        pin(SUBJECT)
        try:
            smtp_source("smtp-source", port, count, connections, each=False)
        finally:
            pin(LOAD)
        return Sample(count, time.perf_counter() - began, _children() - before)

    return job


def _children() -> float:
    """Seconds on the processor of all the processes that this one has begun, and that ended."""
    times = os.times()
    return times.children_user + times.children_system
