"""In memory, without sockets: commands and replies, and mail data, beside what bounds them.

Here the library is alone: no system call, no event loop but where a peer cannot do without. Time is
that on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from .. import bodies
from ..environment import Environment
from ..figures import Sample
from ..processes import Worker
from ..results import Case, Measure, Series, costs, rates
from ..rounds import Job, Settings, compare
from ..subjects import (
    AIOSMTPD,
    CONVERSATION,
    DOTS,
    INSIDE,
    PRIMITIVES,
    RECEIVER,
    RECEIVER_LENIENT,
    SENDER,
    workers,
)
from .common import MB, missing, series

__all__ = ["measure"]

_RECEIVERS = (RECEIVER, RECEIVER_LENIENT, CONVERSATION, AIOSMTPD, "smtpd", "twisted.mail", "h11")
_SENDERS = (SENDER, "smtplib", "aiosmtplib", "smtpproto")
_DECODERS = (PRIMITIVES, DOTS, *_RECEIVERS[:-1])
_ENCODERS = (PRIMITIVES, DOTS, *_SENDERS)


def measure(environment: Environment, settings: Settings) -> list[Measure]:
    """Four tables: a receiver's commands, a sender's, decoding and encoding."""
    size = 1 << (16 if settings.quick else 20)
    kinds = [bodies.ORDINARY, bodies.LONE_CRS] if settings.quick else list(bodies.KINDS)
    settings = attrs.evolve(settings, seconds=settings.seconds * 0.4)  # nothing here varies much
    with workers(environment, "inside", INSIDE, str(size)) as (running, without):

        def case(
            name: str, task: str, who: Sequence[str], make: Callable[..., Series], scale: float
        ) -> Case:
            jobs = {n: _cpu(running[n], task) for n in who if n in running}
            jobs = {n: job for n, job in jobs.items() if task in running[n].tasks}
            outcomes = compare(jobs, settings, f"in memory, {task}")
            absent = {n: why for n, why in without.items() if n in who}
            return Case(name, (*series(outcomes, make, scale), *missing(absent)))

        def commands(who: Sequence[str]) -> tuple[Case, ...]:
            return (
                case("a transaction's command and its reply", "transaction", who, costs, 1e6),
                case("NOOP and its reply", "noop", who, costs, 1e6),
            )

        def data(task: str, who: Sequence[str]) -> tuple[Case, ...]:
            return tuple(case(kind, f"{task} {kind}", who, rates, 1 / MB) for kind in kinds)

        return [
            Measure(
                "receiving", "In memory: a receiver's command and its reply", "us",
                commands(_RECEIVERS), AIOSMTPD, more=False,
                about="The mean of MAIL, RCPT, DATA and the end of data. For h11 a request of HTTP "
                "and its response.",
            ),
            Measure(
                "sending", "In memory: a sender's command and its reply", "us",
                commands(_SENDERS), "smtplib", more=False,
                about="The mean of MAIL, RCPT, DATA and the end of data.",
            ),
            Measure(
                "decoding", f"In memory: decoding mail data of {size >> 10} KiB", "MB/s",
                data("decode", _DECODERS), PRIMITIVES,
                about="The base is what bounds it in CPython: one `find` for the end of mail data, "
                "one `replace` for the dots, over the same pieces of 64 KiB. The lenient Receiver "
                "also looks for bare CRs and LFs, and refuses the last kind.",
            ),
            Measure(
                "encoding", f"In memory: encoding mail data of {size >> 10} KiB", "MB/s",
                data("encode", _ENCODERS), PRIMITIVES,
                about="The base is one `bytes.replace`. RFC 821 allows a CR only in a CRLF; what "
                "this library refuses to send, others change.",
            ),
        ]  # fmt: skip


def _cpu(worker: Worker, task: str) -> Job:
    """A job that takes no notice of what else the core did."""

    def job(count: int) -> Sample:
        sample = worker.sample(task, count)
        return Sample(sample.count, sample.cpu or sample.wall, sample.cpu)

    return job
