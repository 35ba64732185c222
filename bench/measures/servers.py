"""Small messages into servers: how many in a second, and what each costs the server.

All servers run through the whole measure, idle while another has its turn. smtp-source waits for
each reply before it goes on, as RFC 821 has it, so one connection measures how soon a server
answers, and many of them how much it can do.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from ..environment import Environment
from ..results import Case, Measure, rates
from ..rounds import Settings, compare
from ..subjects import AIOSMTPD, serving
from .common import OUT, fed, feeder, missing, series

__all__ = ["measure"]

_MANY: Final = 20
"""Messages that a connection carries at least, where it carries many."""


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Messages of 1 KiB, over one connection and many, of which each has many messages or one."""
    send = feeder(environment)
    many = 20 if settings.quick else 200
    cases = []
    with serving(environment) as (servers, without):
        for each, what in ((False, "many a connection"), (True, "one a connection")):
            for sessions in (many, 1):
                name = f"{what}, {sessions} at once"

                def feed(port: int, sessions: int, each: bool, count: int) -> int:
                    send(port, count, sessions, each=each)
                    return count

                jobs = {
                    server.name: fed(server, partial(feed, server.port, sessions, each))
                    for server in servers.values()
                }
                least = sessions * (1 if each or settings.quick else _MANY)
                most = OUT if each else 1_000_000
                outcomes = compare(jobs, settings, name, least=least, most=most)
                found = series(outcomes, rates, 1.0)
                cases.append(Case(name, (*found, *missing(without))))
    return [
        Measure(
            "servers",
            "Servers: messages of 1 KiB",
            "messages/s",
            tuple(cases),
            AIOSMTPD,
            about="Columns: how many messages a connection carries, and how many connections there "
            "are at once.",
        )
    ]
