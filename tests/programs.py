"""Mail programs that other people wrote: where they are, and how they are run.

Servers listen on the loopback interface, at a port that was free a moment ago; one that finds it
taken is begun again with another. Each is ended by its process, and waited for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from .serving import ENVIRONMENT, TIMEOUT, Lines

ROOT: Final = Path(__file__).parent.parent
_TRIES: Final = 5  # ports that may be taken, one after the other


def program(name: str) -> str:
    """Where a program is; the test is skipped where it is not installed."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str, stdin: bytes = b"") -> str:
    """What a program prints; it must end well."""
    result = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
        check=False,
    )
    text = result.stdout.decode("utf-8", "replace")
    assert result.returncode == 0, text
    return text


def free_port() -> int:
    """A port that nothing listens at, as yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def end(process: subprocess.Popen[str]) -> None:
    """End a process, by its own means if it can, and wait for it."""
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(TIMEOUT)


@contextlib.contextmanager
def listening(command: Callable[[int], Sequence[str]], folder: Path) -> Iterator[int]:
    """A server that is given its port; gives the port once it takes connections there.

    folder: for what it prints.
    """
    for _ in range(_TRIES):
        port = free_port()
        with (folder / "printed").open("w+") as printed:
            process = subprocess.Popen(
                command(port),
                cwd=ROOT,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                if _takes_connections(process, port):
                    yield port
                    return
            finally:
                end(process)
    pytest.fail((folder / "printed").read_text("utf-8"))


def _takes_connections(process: subprocess.Popen[str], port: int) -> bool:
    """Wait until a process listens, or has ended."""
    for _ in range(int(TIMEOUT * 50)):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
            return process.poll() is None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1 / 50)
            return False
    return False


# Postfix.

MAIN_CF: Final = """\
compatibility_level = 3.6
command_directory = {commands}
daemon_directory = {daemons}
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
"""
MASTER_CF: Final = """\
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
smtp unix - - n - - smtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
"""


class Postfix:
    """A Postfix of its own: all that it has is in one folder, `etc` with its configuration.

    log: what it logs.
    """

    def __init__(self, folder: Path, log: Lines) -> None:
        self.folder, self.log = folder, log

    def submit(self, reverse_path: str, forward_path: str, message: bytes) -> None:
        """Hand a message over, as a local user does."""
        sendmail = program("sendmail")
        where = ("-C", f"{self.folder}/etc")
        run(sendmail, *where, "-i", "-f", reverse_path, forward_path, stdin=message)


@contextlib.contextmanager
def postfix(settings: str, port: int | None = None) -> Iterator[Postfix]:
    """Run Postfix. The test is skipped where that cannot be.

    settings: more lines for main.cf, where {folder} is its folder.
    port: where it listens on the loopback interface, if it does. Raises OSError if it is taken.
    """
    command = program("postfix")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("postfix is started by root only")
    daemons = run(program("postconf"), "-d", "-h", "daemon_directory").strip()
    with tempfile.TemporaryDirectory(prefix="smtp821-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # its processes have users of their own
        for part in ("etc", "queue", "data"):
            (folder / part).mkdir()
        shutil.chown(folder / "data", "postfix")
        main = (MAIN_CF + settings).format(
            commands=Path(command).parent, daemons=daemons, folder=folder
        )
        listener = "" if port is None else f"127.0.0.1:{port} inet n - n - - smtpd\n"
        for file, text in (("main.cf", main), ("master.cf", MASTER_CF + listener)):
            (folder / "etc" / file).write_text(text)
            os.utime(folder / "etc" / file, (0, 0))  # it reads no file that may still be written
        run(command, "-c", f"{folder}/etc", "check")  # it makes what is missing
        process = subprocess.Popen(
            [f"{daemons}/master", "-c", f"{folder}/etc", "-s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        log = Lines(process.stdout)
        try:
            _begun(log)
            yield Postfix(folder, log)
        finally:
            end(process)
            log.close()


def _begun(log: Lines) -> None:
    lines = []
    while (line := log.next()) is not None:
        if "daemon started" in line:
            return
        lines.append(line)
    raise OSError(f"postfix did not begin: {lines}")
