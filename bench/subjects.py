"""Who takes part: the name in the tables, what it needs, and the program that it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from .environment import JAVASCRIPT, ROOT, Environment
from .processes import HOST, LOAD, SUBJECT, Program, Worker, free_port
from .rounds import Failed

__all__ = [
    "AIOSMTPD",
    "ASYNCIO",
    "CLIENTS",
    "CONVERSATION",
    "DOTS",
    "INSIDE",
    "PRIMITIVES",
    "RECEIVER",
    "RECEIVER_LENIENT",
    "SENDER",
    "SERVERS",
    "SINK",
    "SOCKETS",
    "SOURCE",
    "TRIO",
    "UVLOOP",
    "Server",
    "Subject",
    "absent",
    "serving",
    "sink",
    "workers",
]

ASYNCIO: Final = "smtp821 asyncio"
UVLOOP: Final = "smtp821 uvloop"
TRIO: Final = "smtp821 trio"
SOCKETS: Final = "smtp821 sockets"
AIOSMTPD: Final = "aiosmtpd"
SINK: Final = "smtp-sink"
SOURCE: Final = "smtp-source"
PRIMITIVES: Final = "CPython's primitives"
DOTS: Final = "DotDecoder and DotEncoder"
RECEIVER: Final = "Receiver"
RECEIVER_LENIENT: Final = "lenient Receiver"
CONVERSATION: Final = "Conversation"
SENDER: Final = "Sender"


@attrs.frozen
class Subject:
    """One of those that are compared.

    module: its program, of Python; "" where it is another.
    needs: what has to be there, by its name in the environment.
    options: of its program, where it has some.
    """

    name: str
    module: str = ""
    needs: str = ""
    options: tuple[str, ...] = ()


SERVERS: Final = (
    Subject(ASYNCIO, "smtp821_asyncio"),
    Subject(UVLOOP, "smtp821_uvloop", "uvloop"),
    Subject(TRIO, "smtp821_trio", "trio"),
    Subject(SOCKETS, "smtp821_sockets"),
    Subject(AIOSMTPD, "aiosmtpd", "aiosmtpd"),
    Subject("twisted.mail", "twisted", "twisted"),
    Subject("smtpd", "smtpd", "smtpd"),
    Subject("nodemailer", "", JAVASCRIPT),
    Subject("asyncio, bare", "bare_asyncio"),
    Subject("trio, bare", "bare_trio", "trio"),
    Subject("sockets, bare", "bare_sockets"),
    Subject(SINK, "", "smtp-sink"),
)

CLIENTS: Final = (
    Subject(SOCKETS, "smtp821_sockets"),
    Subject(ASYNCIO, "smtp821_asyncio"),
    Subject(TRIO, "smtp821_trio", "trio"),
    Subject("smtplib", "smtplib"),
    Subject("aiosmtplib", "aiosmtplib", "aiosmtplib"),
    Subject("smtpproto", "smtpproto", "smtpproto"),
    Subject("asyncio, bare", "bare_asyncio"),
    Subject("sockets, bare", "bare_sockets"),
    Subject(SOURCE, "", "smtp-source"),
)

INSIDE: Final = (
    Subject(PRIMITIVES, "primitives"),
    Subject(DOTS, "dots"),
    Subject(RECEIVER, "receiver", options=("strict",)),
    Subject(RECEIVER_LENIENT, "receiver", options=("lenient",)),
    Subject(CONVERSATION, "conversation"),
    Subject(SENDER, "sender"),
    Subject(AIOSMTPD, "aiosmtpd", "aiosmtpd"),
    Subject("smtpd", "smtpd", "smtpd"),
    Subject("twisted.mail", "twisted", "twisted"),
    Subject("h11", "h11", "h11"),
    Subject("smtplib", "smtplib"),
    Subject("aiosmtplib", "aiosmtplib", "aiosmtplib"),
    Subject("smtpproto", "smtpproto", "smtpproto"),
)


@attrs.frozen
class Server:
    """A server that runs."""

    name: str
    port: int
    program: Program


def absent(subjects: Iterable[Subject], environment: Environment) -> dict[str, str]:
    """Those that cannot take part, and why."""
    return {
        subject.name: f"{subject.needs} is missing"
        for subject in subjects
        if not environment.has(subject.needs)
    }


def _server_command(
    subject: Subject, port: int, environment: Environment, options: tuple[str, ...]
) -> list[str]:
    if subject.module:
        module = f"bench.servers.{subject.module}"
        return [environment.python, "-m", module, str(port), *options]
    if subject.name == SINK:
        user = ["-u", "root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        return ["smtp-sink", *user, "-m", "20000", f"{HOST}:{port}", "1024"]
    script = ROOT / "bench" / "servers" / "smtp_server.js"
    return [shutil.which("node") or "node", str(script), str(port)]


@contextlib.contextmanager
def serving(
    environment: Environment,
    names: Iterable[str] | None = None,
    *,
    options: tuple[str, ...] = (),
) -> Iterator[tuple[dict[str, Server], dict[str, str]]]:
    """The servers of these names (all of them, if none are given), and why some do not run.

    options: for the servers of this library.
    """
    wanted = None if names is None else set(names)
    chosen = [s for s in SERVERS if wanted is None or s.name in wanted]
    without = absent(chosen, environment)
    servers: dict[str, Server] = {}
    with contextlib.ExitStack() as stack:
        for subject in chosen:
            if subject.name not in without:
                port = free_port()
                own = options if subject.module.startswith("smtp821") else ()
                command = _server_command(subject, port, environment, own)
                program = stack.enter_context(Program(command, environment.variables))
                servers[subject.name] = Server(subject.name, port, program)
        for server in list(servers.values()):
            try:
                server.program.listens(server.port)
            except Failed as failure:
                without[server.name] = str(failure)
                del servers[server.name]
            else:
                server.program.keep_on(SUBJECT)
        yield servers, without
        for server in servers.values():
            server.program.end()


@contextlib.contextmanager
def sink(environment: Environment) -> Iterator[Server]:
    """What clients send to: smtp-sink, or our own where there is none. Raises Failed.

    It is load here, and has its core.
    """
    port = free_port()
    if environment.has("smtp-sink"):
        subject = next(s for s in SERVERS if s.name == SINK)
    else:
        subject = Subject("sink of our own", "bare_asyncio")
    command = _server_command(subject, port, environment, ())
    with Program(command, environment.variables) as program:
        program.listens(port)
        program.keep_on(LOAD)
        yield Server(subject.name, port, program)


@contextlib.contextmanager
def workers(
    environment: Environment, room: str, subjects: Iterable[Subject], *arguments: str
) -> Iterator[tuple[Mapping[str, Worker], dict[str, str]]]:
    """The programs of a room, "clients" or "inside", and why some do not run."""
    chosen = [s for s in subjects if s.module]
    without = absent(chosen, environment)
    running: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:
        for subject in chosen:
            if subject.name in without:
                continue
            command = [environment.python, "-m", f"bench.{room}.{subject.module}"]
            command += [*arguments, *subject.options]
            running[subject.name] = stack.enter_context(Worker(command, environment.variables))
        for name, worker in list(running.items()):
            try:
                worker.is_ready()
            except Failed as failure:
                without[name] = str(failure)
                del running[name]
            else:
                worker.keep_on(SUBJECT)
        yield running, without
        for worker in running.values():
            worker.end()
