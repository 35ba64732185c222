"""A relay (3.6): it takes mail, keeps it in a queue on the disk, and sends it on.

    python examples/relay.py --demo
    python examples/relay.py --domain USC-ISIE.ARPA --route BBN-VAX.ARPA=127.0.0.1:2525

It takes mail for anybody from whoever may connect, so it listens at the loopback address only,
unless told otherwise. Mail for its own names goes into Maildirs.

What it promises: a message that it has answered 250 reaches each of its recipients once, or its
originator is told why not, whatever happens to the process. For that

- the message, its recipients and what is known of each are in one SQLite database. The message is
  committed, and flushed to the disk, before the 250;
- what an attempt brought is committed as soon as it is known, before anything else is said to
  the next host; and with it, in the same transaction, the notification of what has failed;
- a message for a mailbox here is written beside the Maildirs first; that it is there is
  committed; and then it is moved to its place, which happens once, however often it is begun.

One case is left, which SMTP itself cannot tell (RFC 1047): if the process is killed behind the 250
of the next host and before that is committed, or the connection is lost before that 250 comes, the
message is sent to that host again. It is one message at most for each host, for there is one
session at a time with it. In the same way the host before this one sends a message again whose
250 it has not seen; those are two messages here.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import logging
import os
import re
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path as File
from typing import IO, Any, Final, Self

import attrs

from smtp821 import (
    NULL_PATH,
    RFC821_LENIENT,
    Data,
    Domain,
    EndOfData,
    Handler,
    Helo,
    LocalProtocolError,
    MailData,
    Path,
    Rcpt,
    Reply,
)
from smtp821.delivery import CHUNK, RecipientResult, SessionRefused, Status, status_of
from smtp821.mail.notification import Failure, header_of, undeliverable
from smtp821.mail.relaying import Relayed, relay
from smtp821.mail.trace import TimeStamp, return_path_line
from smtp821.maildir import Maildir, folder_name
from smtp821.protocol.events import Closed, Rejected
from smtp821.sockets import Client, serve

log = logging.getLogger("relay")

MOST_HOSTS: Final = 30  # that a message may have come by, this one included; more are a loop
IN_MEMORY: Final = 1 << 20  # octets of a message that is coming in; the rest is in a file
HEADER: Final = 1 << 16  # octets of a message in which its trace lines are looked for
AT_ONCE: Final = 100  # recipients: as many as every host takes in one transaction (4.5.3)
GRACE: Final = 10.0  # seconds that messages which are being sent have when the relay stops

SCHEMA: Final = """
PRAGMA locking_mode = EXCLUSIVE;  -- two processes on one queue would send everything twice
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reverse_path TEXT NOT NULL,  -- as it came: where a notification goes
    accepted REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS piece (  -- of mail data, in the order of rowid
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS recipient (  -- that is still to be reached
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    host TEXT NOT NULL,  -- the next one; '' is this one
    forward_path TEXT NOT NULL,  -- both as they are to be sent
    reverse_path TEXT NOT NULL,
    due REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    staged INTEGER NOT NULL DEFAULT 0  -- written beside its Maildir, whole
);
CREATE INDEX IF NOT EXISTS piece_of ON piece (message);
CREATE INDEX IF NOT EXISTS recipient_of ON recipient (message);
CREATE INDEX IF NOT EXISTS recipient_due ON recipient (due);
"""


@attrs.frozen
class Host:
    """This host: its names, and where the others are. Times are in seconds."""

    names: Sequence[Domain]
    """What it is called; the first is its official name."""
    routes: Mapping[Domain, tuple[str, int]] = {}
    """Address and port of other hosts; those that are not here are found by their names."""
    delay: float = 60.0
    """How long to wait for the second attempt; twice as long for each one after that ..."""
    longest_delay: float = 3600.0
    """... up to this."""
    give_up: float = 5 * 86400.0
    """The age at which a message has failed for the recipients that it has not reached."""

    def relay(self, forward_path: Path, reverse_path: Path) -> Relayed:
        """The next host for a recipient, and its paths on the way there."""
        return relay(forward_path, reverse_path, self.names)

    def address(self, host: Domain) -> tuple[str, int]:
        """Where another host is."""
        return self.routes.get(host, (host.text.strip("[]"), 25))

    def pause(self, tries: int) -> float:
        """How long to wait after an attempt behind which there were so many."""
        return min(self.longest_delay, self.delay * 2.0 ** min(tries, 64))


@attrs.frozen
class Recipient:
    """A recipient of a message that is due."""

    id: int
    forward_path: Path = attrs.field(converter=Path)
    reverse_path: Path = attrs.field(converter=Path)
    tries: int
    staged: bool = attrs.field(converter=bool)


@attrs.frozen
class Job:
    """A message, and those of its recipients that are due at one host."""

    message: int
    host: Domain | None
    """The next host; None is this one."""
    originator: Path
    """The reverse-path as it came."""
    accepted: float
    recipients: tuple[Recipient, ...]

    def all(self, status: Status, reply: Reply | None, error: Exception | None) -> Results:
        """One result for all of them."""
        paths = [recipient.forward_path for recipient in self.recipients]
        return tuple(RecipientResult(path, status, reply, error) for path in paths)


Results = tuple[RecipientResult, ...]


class Queue:
    """The messages that are on their way, in a database of their own.

    All its methods may be called from any thread. They raise sqlite3.Error.
    """

    def __init__(self, file: File, host: Host) -> None:
        self._host = host
        self._db = sqlite3.connect(file, timeout=0.0, check_same_thread=False)
        self._db.executescript(SCHEMA)
        self._changed = threading.Condition()  # guards all of this, and tells when it is other
        self._busy: set[str] = set()  # hosts that somebody is sending to
        self.stopped = threading.Event()
        self._tell_if_empty()

    def add(self, reverse_path: Path, forward_paths: Iterable[Path], data: Iterable[bytes]) -> None:
        """Make a message safe, for each of its recipients; once for those named twice."""
        with self._changed, self._db:
            self._add(reverse_path, forward_paths, data)
            self._changed.notify_all()

    def take(self) -> Job | None:
        """Wait for what is due next, at a host nobody is sending to; None when it is stopped."""
        with self._changed:
            while not self.stopped.is_set():
                host, message, wait = self._next()
                if wait <= 0:
                    self._busy.add(host)
                    return self._job(message, host)
                self._changed.wait(min(wait, 3600.0))
            return None

    def piece(self, message: int, after: int) -> tuple[int, bytes] | None:
        """The piece of a message behind that of a number, with its own; None behind the last."""
        with self._changed:
            rows = self._db.execute(
                "SELECT rowid, data FROM piece WHERE message = ? AND rowid > ? ORDER BY rowid",
                (message, after),
            )
            row: tuple[int, bytes] | None = rows.fetchone()
            return row

    def staged(self, recipient: Recipient) -> None:
        """The message is written beside a Maildir."""
        with self._changed, self._db:
            self._db.execute("UPDATE recipient SET staged = 1 WHERE id = ?", (recipient.id,))

    def record(self, job: Job, results: Results) -> None:
        """What an attempt brought for each recipient; with it goes what there is to tell of it."""
        with self._changed:
            with self._db:
                self._settle(job, results)
            self._changed.notify_all()
            for result in results:
                why = str(result.reply or result.error or "in the mailbox").replace("\n", " ")
                log.info("%s: %s, %s", result.path, result.status, why)
            self._tell_if_empty()

    def release(self, job: Job) -> None:
        """The session with the host of a job is over: there may be another."""
        with self._changed:
            self._busy.discard(_key(job.host))
            self._changed.notify_all()

    def wait_until_empty(self, seconds: float) -> bool:
        """Wait until every message is delivered, or has failed; tells whether that is so."""
        with self._changed:
            return self._changed.wait_for(self._is_empty, seconds)

    def stop(self) -> None:
        """Let `take` give nothing more."""
        with self._changed:
            self.stopped.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Close the database."""
        with self._changed:
            self._db.close()

    # The rest is called with the lock held.

    def _add(
        self, reverse_path: Path, forward_paths: Iterable[Path], data: Iterable[bytes]
    ) -> None:
        now = time.time()
        message = self._db.execute(
            "INSERT INTO message (reverse_path, accepted) VALUES (?, ?)", (str(reverse_path), now)
        ).lastrowid
        self._db.executemany(
            "INSERT INTO piece (message, data) VALUES (?, ?)", ((message, piece) for piece in data)
        )
        for path in dict.fromkeys(forward_paths):
            way = self._host.relay(path, reverse_path)
            self._db.execute(
                "INSERT INTO recipient (message, host, forward_path, reverse_path, due)"
                " VALUES (?, ?, ?, ?, ?)",
                (message, _key(way.next_host), str(way.forward_path), str(way.reverse_path), now),
            )

    def _settle(self, job: Job, results: Results) -> None:
        """Strike off who is reached or lost, and put the others off."""
        now = time.time()
        last = now - job.accepted >= self._host.give_up
        failures = []
        for recipient, result in zip(job.recipients, results, strict=True):
            if not last and result.status in (Status.TEMPORARY, Status.PROTOCOL):
                due = now + self._host.pause(recipient.tries)
                self._db.execute(
                    "UPDATE recipient SET tries = tries + 1, due = ? WHERE id = ?",
                    (due, recipient.id),
                )
                continue
            self._db.execute("DELETE FROM recipient WHERE id = ?", (recipient.id,))
            if result.status is not Status.ACCEPTED:
                failures.append(_failure(job, result))
        if failures:
            self._notify(job, failures)
        self._db.execute(
            "DELETE FROM message WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1)",
            (job.message,),
        )

    def _notify(self, job: Job, failures: Sequence[Failure]) -> None:
        """Put the notification into the queue; there is none about another (3.6)."""
        _, beginning = self.piece(job.message, 0) or (0, b"")
        notification = undeliverable(
            job.originator,
            failures,
            host=self._host.names[0],
            at=datetime.now().astimezone(),
            original=beginning,
        )
        if notification is None:
            log.warning("a notification could not be delivered: it is dropped")
            return
        to = [notification.forward_path]
        self._add(notification.reverse_path, to, [notification.message])

    def _next(self) -> tuple[str, int, float]:
        """Host and message that are due next, and in how many seconds."""
        for host, message, due in self._db.execute(
            "SELECT host, message, due FROM recipient ORDER BY due, id"
        ):
            if host not in self._busy:
                return host, message, due - time.time()
        return "", 0, float("inf")

    def _job(self, message: int, host: str) -> Job:
        reverse_path, accepted = self._db.execute(
            "SELECT reverse_path, accepted FROM message WHERE id = ?", (message,)
        ).fetchone()
        rows = self._db.execute(
            "SELECT id, forward_path, reverse_path, tries, staged FROM recipient"
            " WHERE message = ? AND host = ? AND due <= ? ORDER BY id LIMIT ?",
            (message, host, time.time(), AT_ONCE),
        )
        recipients = tuple(Recipient(*row) for row in rows)
        domain = Domain(host) if host else None
        return Job(message, domain, Path(reverse_path), accepted, recipients)

    def _is_empty(self) -> bool:
        return self._db.execute("SELECT 1 FROM recipient LIMIT 1").fetchone() is None

    def _tell_if_empty(self) -> None:
        if self._is_empty():
            log.info("the queue is empty")


class Message:
    """The mail data of a message in the queue, a piece at a time, as often as it is wanted."""

    def __init__(self, queue: Queue, message: int) -> None:
        self._queue, self._message = queue, message

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        while piece := self._queue.piece(self._message, number):
            number, data = piece
            yield data


def _key(host: Domain | None) -> str:
    """How the database calls a host: '' is this one."""
    return "" if host is None else host.text


def _failure(job: Job, result: RecipientResult) -> Failure:
    reason = result.reply or str(result.error)
    if isinstance(reason, str) and result.status is not Status.PERMANENT:
        reason += f" (given up after {time.time() - job.accepted:.0f} seconds)"
    return Failure(result.path, reason, job.host)


class Mailboxes:
    """Maildirs, into which a message comes in two steps: it is staged, and then shown.

    Each step may be done again, and changes nothing then; between them the caller commits that
    the message is staged. After that it is in one of two places, and being in the first is what
    tells that it was not shown: so it is shown once, even if its reader has it moved away by then.
    """

    def __init__(self, root: File) -> None:
        self._root = root
        self._maildir = Maildir(root)
        self._staged = root / ".staged"  # no mailbox has this name: see folder_name
        self._staged.mkdir(mode=0o700, parents=True, exist_ok=True)

    def can_keep(self, path: Path) -> bool:
        """Whether the mailbox of a path can be a folder."""
        return self._maildir.can_keep(_user(path))

    def stage(self, name: str, data: Iterable[bytes]) -> None:
        """Write a message; its lines end with LF here."""
        with (self._staged / name).open("wb") as file:
            for piece in data:
                file.write(piece.replace(b"\r\n", b"\n"))
            file.flush()
            os.fsync(file.fileno())
        _flush(self._staged)

    def show(self, name: str, path: Path) -> None:
        """Move a message that is staged into its Maildir, unless it was."""
        self._maildir.begin([_user(path)], b"").abort()  # makes the Maildir
        staged, new = self._staged / name, self._root / folder_name(_user(path)) / "new"
        if staged.exists():
            staged.rename(new / name)
        _flush(new)


def _user(path: Path) -> str:
    return path.mailbox.user if path.mailbox is not None else "postmaster"


def _flush(folder: File) -> None:
    """See to it that the names in a folder are there after a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reception(Handler):
    """A session in which mail comes in."""

    def __init__(self, peer: str, host: Host, queue: Queue, mailboxes: Mailboxes) -> None:
        super().__init__(peer)
        self._host, self._queue, self._mailboxes = host, queue, mailboxes
        self._sender = Domain("unknown")
        self._message: IO[bytes] = io.BytesIO()

    def helo(self, command: Helo) -> None:
        """Remember the name, for the time stamp line; else the address will do."""
        for name in (f"[{self.peer.rpartition(':')[0]}]", command.domain.text):
            with contextlib.suppress(LocalProtocolError):
                self._sender = Domain(name)

    def rcpt(self, command: Rcpt) -> Reply | None:
        """Anybody, but for mailboxes here that cannot be."""
        way = self._host.relay(command.forward_path, NULL_PATH)
        if way.next_host is None and not self._mailboxes.can_keep(way.forward_path):
            return Reply(553)
        return None

    def data(self, command: Data) -> None:
        """Begin the message, with a time stamp line (4.1.1 DATA)."""
        self._drop()
        stamp = TimeStamp(
            from_domain=self._sender,
            by_domain=self._host.names[0],
            at=datetime.now().astimezone(),
            protocol="SMTP",
        )
        self._message = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - see _drop
        self._message.write(stamp.line())

    def mail_data(self, event: MailData) -> None:
        """Keep a piece of the message."""
        self._message.write(event.data)

    def end_of_data(self, event: EndOfData) -> Reply | None:
        """Make the message safe, if it does not run in circles. What raises here is a 451."""
        self._message.seek(0)
        header = header_of(self._message.read(HEADER), HEADER)
        if len(re.findall(rb"(?im)^Received[ \t]*:", header)) > MOST_HOSTS:
            return Reply(554, "Too many hosts on the way: a loop")
        self._message.seek(0)
        envelope = event.envelope
        self._queue.add(envelope.reverse_path, envelope.forward_paths, self._pieces())
        self._drop()
        return None

    def rejected(self, event: Rejected) -> None:
        """Drop a message that the protocol refused."""
        self._drop()

    def closed(self, event: Closed) -> None:
        """Drop a message that was cut short (4.1.1 QUIT)."""
        self._drop()

    def _pieces(self) -> Iterator[bytes]:
        """The message, never cut inside a CRLF: line ends may be converted."""
        while piece := self._message.read(CHUNK):
            yield piece + self._message.read(1) if piece.endswith(b"\r") else piece

    def _drop(self) -> None:
        self._message.close()


class Courier(threading.Thread):
    """Brings one message after the other to where it goes next."""

    def __init__(self, host: Host, queue: Queue, mailboxes: Mailboxes) -> None:
        super().__init__(daemon=True)
        self._host, self._queue, self._mailboxes = host, queue, mailboxes

    def run(self) -> None:
        """Work until the queue is stopped."""
        while job := self._queue.take():
            with contextlib.ExitStack() as session:  # its QUIT comes behind the commit
                self._record(job, self._attempt(job, session))
            self._queue.release(job)

    def _attempt(self, job: Job, session: contextlib.ExitStack) -> Results:
        try:
            return self._keep(job) if job.host is None else self._send(job, job.host, session)
        except SessionRefused as refusal:
            return job.all(status_of(refusal.reply), refusal.reply, None)
        except LocalProtocolError as error:  # it can never be sent
            return job.all(Status.PERMANENT, None, error)
        except Exception as error:  # of whatever kind: it is tried again
            return job.all(Status.TEMPORARY, None, error)

    def _send(self, job: Job, host: Domain, session: contextlib.ExitStack) -> Results:
        """Send a message on, in the dialect that it came in: so what was taken can be sent."""
        address, port = self._host.address(host)
        name = self._host.names[0].text
        client = session.enter_context(Client(address, port, helo=name, dialect=RFC821_LENIENT))
        return client.send(
            job.recipients[0].reverse_path,
            [recipient.forward_path for recipient in job.recipients],
            Message(self._queue, job.message),
        ).recipients

    def _keep(self, job: Job) -> Results:
        """Put a message into Maildirs, behind its return path line (4.1.1 DATA)."""
        for recipient in job.recipients:
            name = f"{job.accepted:.6f}.R{recipient.id}.{self._host.names[0]}"
            if not recipient.staged:
                head = return_path_line(recipient.reverse_path)
                self._mailboxes.stage(
                    name, itertools.chain([head], Message(self._queue, job.message))
                )
                self._queue.staged(recipient)
            self._mailboxes.show(name, recipient.forward_path)
        return job.all(Status.ACCEPTED, None, None)

    def _record(self, job: Job, results: Results) -> None:
        """Record what is known, for as long as it takes: forgotten, it would be done again."""
        while True:
            try:
                return self._queue.record(job, results)
            except sqlite3.Error as error:
                log.error("the queue cannot be written: %s", error)
            if self._queue.stopped.wait(1.0):
                return None


class Relay:
    """The whole of it: a server, couriers, and the queue between them. It runs until `stop`.

    folder: for the queue and the Maildirs; it is made.
    listen: address and port; port 0 lets the system choose.

    Raises OSError and sqlite3.Error where it cannot begin.
    """

    def __init__(
        self,
        host: Host,
        folder: File,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        couriers: int = 4,
    ) -> None:
        mailboxes = Mailboxes(folder / "mail")
        self.queue = Queue(folder / "queue.sqlite", host)
        self._couriers = [Courier(host, self.queue, mailboxes) for _ in range(couriers)]
        self._server = serve(
            lambda peer: Reception(peer, host, self.queue, mailboxes),
            host=listen[0],
            port=listen[1],
            domain=host.names[0].text,
        )
        self.address = self._server.address
        for courier in self._couriers:
            courier.start()

    def stop(self) -> None:
        """Let the mail in hand finish, for a while, and end; the queue is there when it begins."""
        self._server.stop()
        self.queue.stop()
        deadline = time.monotonic() + GRACE
        for courier in self._couriers:
            courier.join(max(0.0, deadline - time.monotonic()))
        self.queue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def demo() -> None:
    """Scenario 3 of Appendix F: from MIT-AI by USC-ISIE to BBN-VAX; shows what Jones gets."""
    with tempfile.TemporaryDirectory() as folder:
        vax, isie = Domain("BBN-VAX.ARPA"), Domain("USC-ISIE.ARPA")
        with (
            Relay(Host([vax]), File(folder, "vax")) as destination,
            Relay(Host([isie], {vax: destination.address}), File(folder, "isie")) as between,
            Client(*between.address, helo="MIT-AI.ARPA") as client,
        ):
            client.send(
                "<JQP@MIT-AI.ARPA>",
                ["<@USC-ISIE.ARPA:Jones@BBN-VAX.ARPA>"],
                b"Date: 2 Nov 81 22:33:44\r\n"
                b"From: John Q. Public <JQP@MIT-AI.ARPA>\r\n"
                b"Subject:  The Next Meeting of the Board\r\n"
                b"To: Jones@BBN-Vax.ARPA\r\n"
                b"\r\n"
                b"Bill:\r\n"
                b"The next meeting of the board of directors will be\r\n"
                b"on Tuesday.\r\n"
                b"                                             John.\r\n",
            )
            between.queue.wait_until_empty(GRACE)
            destination.queue.wait_until_empty(GRACE)
        for file in File(folder, "vax", "mail", "jones", "new").iterdir():
            print(file.read_text("ascii"), end="")


def domain(text: str) -> Domain:
    """The name of a host."""
    try:
        return Domain(text)
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def route(text: str) -> tuple[Domain, tuple[str, int]]:
    """Where a host is: DOMAIN=ADDRESS:PORT."""
    name, _, where = text.partition("=")
    address, _, port = where.rpartition(":")
    if not (address and port.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!a} is not DOMAIN=ADDRESS:PORT")
    return domain(name), (address.strip("[]"), int(port))


def table(text: str) -> list[tuple[Domain, tuple[str, int]]]:
    """Where hosts are, from a file of TOML."""
    try:
        entries = tomllib.loads(File(text).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    return [route(f"{name}={where}") for name, where in entries.items()]


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description="A relay (RFC 821, 3.6) with a queue that outlives it.",
        epilog="""\
The first line on standard output is the address it listens at. A host that is in no --route or
--table is looked for by its name, at port 25. SIGINT or SIGTERM stops it.

a table of hosts (TOML):
  "BBN-VAX.ARPA" = "127.0.0.1:2526"

to try it, in three terminals:
  python examples/relay.py --domain BBN-VAX.ARPA --port 2526 --folder vax
  python examples/relay.py --domain USC-ISIE.ARPA --port 2525 --folder isie \\
      --route BBN-VAX.ARPA=127.0.0.1:2526
  printf 'Subject: hello\\n\\nHello.\\n' | smtp821 send --port 2525 \\
      --from JQP@MIT-AI.ARPA --to '<@USC-ISIE.ARPA:Jones@BBN-VAX.ARPA>'
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    several: dict[str, Any] = {"action": "append", "default": []}
    seconds: dict[str, Any] = {"type": float, "metavar": "SECONDS"}
    add("--domain", type=domain, default="localhost", help="the name of this host")
    add("--alias", type=domain, **several, help="another name of it", metavar="DOMAIN")
    add("--host", default="127.0.0.1", help="address to listen at: who reaches it may relay")
    add("--port", type=int, default=2525, help="port; 0 picks one (default: %(default)s)")
    add("--folder", type=File, default=File("relay"), help="for the queue and the Maildirs")
    add("--route", type=route, **several, help="where a host is", metavar="DOMAIN=ADDRESS:PORT")
    add("--table", type=table, default=[], help="where more hosts are", metavar="FILE")
    add("--delay", **seconds, default=60.0, help="wait before the second attempt; then doubled")
    add("--longest-delay", **seconds, default=3600.0, help="but never wait for longer")
    add("--give-up", **seconds, default=5 * 86400.0, help="age at which mail has failed")
    add("--couriers", type=int, default=4, help="messages that are sent at a time", metavar="N")
    add("--demo", action="store_true", help="show scenario 3 of the RFC, and end")
    return parser.parse_args()


def main() -> int:
    """Relay until told to stop."""
    given = options()
    if given.demo:
        demo()
        return 0
    logging.basicConfig(format="relay: %(message)s", level=logging.INFO)
    os.umask(0o077)  # the queue is nobody else's
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # for sigwait, in all the threads to come
    host = Host(
        names=[given.domain, *given.alias],
        routes=dict([*given.table, *given.route]),
        delay=given.delay,
        longest_delay=given.longest_delay,
        give_up=given.give_up,
    )
    try:
        running = Relay(host, given.folder, (given.host, given.port), given.couriers)
    except (OSError, OverflowError, sqlite3.Error, LocalProtocolError) as error:
        print(f"relay: cannot begin: {error}", file=sys.stderr)
        return 2
    print("{}:{}".format(*running.address), flush=True)
    signal.sigwait(stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop)  # a second one ends it at once
    running.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
