"""The Maildir: safe before it is seen, seen everywhere or nowhere, and never outside its folder."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtp821 import DotDecoder
from smtp821.maildir import Maildir, folder_name
from smtp821.testing.strategies import pieces

HEAD: Final = b"Return-Path: <>\r\n"
HOSTILE: Final = {
    "../x": "%2E.%2Fx",
    "..": "%2E.",
    ".": "%2E",
    ".hidden": "%2Ehidden",
    "a/b": "a%2Fb",
    "/etc/passwd": "%2Fetc%2Fpasswd",
    "a\\b": "a%5Cb",
    "nul\0byte": "nul%00byte",
    "line\r\nend": "line%0D%0Aend",
    "tmp": "tmp",
    "new": "new",
    "Smith": "smith",
    "Joe,Smith": "joe%2Csmith",
    "two words": "two%20words",
    "50%": "50%25",
    "%2E%2E": "%252e%252e",
    "caf\xe9": "caf%C3%A9",
    "a.b+c=d@e_f-g~h": "a.b+c=d@e_f-g~h",
    "*?<>|:\"'": "%2A%3F%3C%3E%7C%3A%22%27",
}


def keep(root: Path, *mailboxes: str, data: bytes = b"Hello\r\n") -> None:
    """Keep a message for mailboxes."""
    draft = Maildir(root).begin(mailboxes, HEAD)
    draft.write(data)
    draft.commit()


def seen(root: Path) -> list[bytes]:
    """The messages that can be seen in the Maildirs under a folder."""
    return [path.read_bytes() for path in sorted(root.glob("*/new/*"))]


def files(root: Path) -> list[str]:
    """All the files under a folder, by the Maildir and the part of it that they are in."""
    found = [path.relative_to(root) for path in root.rglob("*") if not path.is_dir()]
    return sorted(f"{path.parts[0]}/{path.parts[1]}" for path in found)


# Keeping.


@pytest.mark.clause("4.1.1.RCPT-05")
def test_a_message(tmp_path: Path) -> None:
    """A message is a file in `new`, with its trace lines first and its lines ended by LF."""
    keep(tmp_path, "smith", data=b"Subject: x\r\n\r\n.dot\r\n")
    assert seen(tmp_path) == [b"Return-Path: <>\nSubject: x\n\n.dot\n"]
    assert files(tmp_path) == ["smith/new"]
    assert sorted(path.name for path in (tmp_path / "smith").iterdir()) == ["cur", "new", "tmp"]


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    """Until it is complete a message is in `tmp` alone, where nobody looks."""
    draft = Maildir(tmp_path).begin(["smith"], HEAD)
    draft.write(b"Hello\r\n")
    assert files(tmp_path) == ["smith/tmp"]
    draft.commit()
    assert files(tmp_path) == ["smith/new"]


def test_an_aborted_message_leaves_nothing(tmp_path: Path) -> None:
    """What is not to be kept is gone, and may be dropped twice."""
    draft = Maildir(tmp_path).begin(["smith", "jones"], HEAD)
    draft.write(b"Hello\r\n")
    draft.abort()
    draft.abort()
    assert files(tmp_path) == []


def test_abort_behind_commit_changes_nothing(tmp_path: Path) -> None:
    """A message that is kept stays."""
    draft = Maildir(tmp_path).begin(["smith"], HEAD)
    draft.commit()
    draft.abort()
    assert seen(tmp_path) == [b"Return-Path: <>\n"]


def test_several_mailboxes(tmp_path: Path) -> None:
    """Every mailbox has the message, written once; each can drop its own."""
    keep(tmp_path, "smith", "jones", "brown")
    assert files(tmp_path) == ["brown/new", "jones/new", "smith/new"]
    assert seen(tmp_path) == [b"Return-Path: <>\nHello\n"] * 3
    next((tmp_path / "jones" / "new").iterdir()).unlink()
    assert seen(tmp_path) == [b"Return-Path: <>\nHello\n"] * 2


def test_folders_are_made_as_mail_comes(tmp_path: Path) -> None:
    """Nothing has to be prepared; and the folders are for nobody else to read."""
    root = tmp_path / "deep" / "mail"
    keep(root, "smith")
    keep(root, "smith")
    assert len(seen(root)) == 2
    assert stat.S_IMODE((root / "smith").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "smith" / "new").stat().st_mode) == 0o700


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder may be given from where the server runs."""
    monkeypatch.chdir(tmp_path)
    keep(Path("mail"), "smith")
    assert len(seen(tmp_path / "mail")) == 1


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"", b""),
        (b"\r\n", b"\n"),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"bare\rCR bare\nLF\r\r\n", b"bare\rCR bare\nLF\r\n"),
        (bytes(range(128)), bytes(range(128))),
        (b"\xff\r\n", b"\xff\n"),
    ],
)
def test_line_ends(tmp_path: Path, data: bytes, kept: bytes) -> None:
    """CRLF becomes LF, and nothing else is touched."""
    keep(tmp_path, "smith", data=data)
    assert seen(tmp_path) == [b"Return-Path: <>\n" + kept]


@settings(max_examples=25)
@given(st.data(), st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"]), max_size=12))
def test_line_ends_over_cuts(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, morsels: list[bytes]
) -> None:
    """However the message came in, as a receiver hands it on, it is the same (4.5.2)."""
    message = b"".join(morsels) + b"\r\n"
    stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
    parts = data.draw(pieces(stuffed + b".\r\n"))
    root = tmp_path_factory.mktemp("mail")
    draft = Maildir(root).begin(["smith"], b"")
    decoder = DotDecoder()
    for part in parts:
        draft.write(decoder.decode(part))
    draft.commit()
    assert seen(root) == [message.replace(b"\r\n", b"\n")]


def test_names_never_meet(tmp_path: Path) -> None:
    """Threads that keep mail at once have a file each."""
    threads = [threading.Thread(target=keep, args=(tmp_path, "smith")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(tmp_path) == [b"Return-Path: <>\nHello\n"] * 20


def test_names_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name has the time, the process, a count and the host, and nothing that could hurt."""
    monkeypatch.setattr("socket.gethostname", lambda: "../a:b/c")
    keep(tmp_path, "smith")
    (name,) = (path.name for path in (tmp_path / "smith" / "new").iterdir())
    time, micro, process, host = name.split(".", 3)
    assert time.isdigit()
    assert micro.isdigit()
    assert process.startswith(f"P{os.getpid()}Q")
    assert host == ".._a_b_c"


# Names of mailboxes.


@pytest.mark.parametrize("mailbox", HOSTILE)
def test_hostile_names(tmp_path: Path, mailbox: str) -> None:
    """Whatever a mailbox is called, its mail is in one folder right under the root."""
    root = tmp_path / "mail"
    keep(root, mailbox)
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]
    assert [path.name for path in root.iterdir()] == [HOSTILE[mailbox]]
    assert files(root) == [f"{HOSTILE[mailbox]}/new"]
    assert folder_name(mailbox) == HOSTILE[mailbox]


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_two_mailboxes_share_a_folder(one: str, other: str) -> None:
    """Names differ as the users do, but for case; none leads out of the folder, or hides."""
    assert (folder_name(one) == folder_name(other)) == (one.lower() == other.lower())
    name = folder_name(one)
    assert name.isascii()
    assert not name.startswith(".")
    assert not set(name) & set('/\\\0:*?"<>|')


@pytest.mark.parametrize(
    ("mailbox", "fits"),
    [("", False), ("a", True), ("a" * 200, True), ("a" * 201, False), ("/" * 67, False)],
)
def test_what_can_be_kept(tmp_path: Path, mailbox: str, fits: bool) -> None:
    """A folder must be able to have the name; if not, it is told before the mail is taken."""
    assert Maildir(tmp_path).can_keep(mailbox) is fits


def test_the_longest_mailbox_of_rfc_821(tmp_path: Path) -> None:
    """A user of 64 characters (4.5.3) has a folder, whatever the characters are."""
    keep(tmp_path, "~" * 64)
    assert Maildir(tmp_path).can_keep("/" * 64)
    keep(tmp_path, "/" * 64)
    assert len(seen(tmp_path)) == 2


# Durability.


Calls = list[tuple[str, str]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is done to secure a message, and to what, as it comes.

    A folder goes by its path below tmp_path, the message by its size.
    """
    made: Calls = []

    def fsync(file: int, real: Callable[[int], None] = os.fsync) -> None:
        real(file)
        what = os.fstat(file)
        folders = {p.stat().st_ino: str(p.relative_to(tmp_path)) for p in folders_of(tmp_path)}
        made.append(("fsync", folders.get(what.st_ino, f"{what.st_size} octets")))

    def placing(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def place(source: Path, target: Path) -> None:
            assert source.parent.name == "tmp"
            real(source, target)
            made.append((name, str(target.parent.relative_to(tmp_path))))

        return place

    def mkdir(path: Path, *options: Any, real: Callable[..., None] = os.mkdir, **more: Any) -> None:
        real(path, *options, **more)
        made.append(("mkdir", str(path.relative_to(tmp_path))))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", placing("link", os.link))
    monkeypatch.setattr(os, "rename", placing("rename", os.rename))
    monkeypatch.setattr(os, "mkdir", mkdir)
    return made


def folders_of(root: Path) -> list[Path]:
    """A folder, and all below it."""
    return [root, *(path for path in root.rglob("*") if path.is_dir())]


def test_safe_before_it_is_seen(tmp_path: Path, calls: Calls) -> None:
    """The message is flushed whole, then placed, then the folders are flushed; then it is kept."""
    root = tmp_path / "mail"
    Maildir(root).begin(["smith", "jones"], b"").abort()  # the folders are there
    draft = Maildir(root).begin(["smith", "jones"], HEAD)
    draft.write(b"Hello\r\n")
    calls.clear()
    draft.commit()
    assert calls == [
        ("fsync", "22 octets"),
        ("link", "mail/jones/new"),
        ("rename", "mail/smith/new"),
        ("fsync", "mail/smith/new"),
        ("fsync", "mail/jones/new"),
    ]


def test_new_folders_are_safe_too(tmp_path: Path, calls: Calls) -> None:
    """A folder that is made is flushed into the one above it; else a crash could take both."""
    Maildir(tmp_path / "mail").begin(["smith"], HEAD).abort()
    assert calls == [
        ("mkdir", "mail"),
        ("fsync", "."),
        ("mkdir", "mail/smith"),
        ("fsync", "mail"),
        ("mkdir", "mail/smith/cur"),
        ("fsync", "mail/smith"),
        ("mkdir", "mail/smith/new"),
        ("fsync", "mail/smith"),
        ("mkdir", "mail/smith/tmp"),
        ("fsync", "mail/smith"),
    ]


def test_no_descriptor_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are opened to be flushed, and closed again."""
    left: set[int] = set()

    def opening(path: Path, *options: int, real: Callable[..., int] = os.open) -> int:
        descriptor = real(path, *options)
        left.add(descriptor)
        return descriptor

    def closing(descriptor: int, real: Callable[[int], None] = os.close) -> None:
        left.remove(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "close", closing)
    keep(tmp_path, "smith", "jones")
    assert left == set()


def test_folders_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system opens no folders (Windows), it flushes them by itself."""

    def refuse(path: object, *options: object) -> int:
        raise PermissionError(errno.EACCES, "a folder")

    monkeypatch.setattr(os, "open", refuse)
    keep(tmp_path, "smith")
    assert len(seen(tmp_path)) == 1


# What can go wrong.

MAILBOXES: Final = ("smith", "jones", "brown")


class Failing:
    """A function of `os` that fails at its n-th call, from 1."""

    def __init__(self, real: Callable[..., Any], at: int, number: int) -> None:
        self._real, self._left, self._number = real, at, number

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Fail, or do it."""
        self._left -= 1
        if self._left == 0:
            raise OSError(self._number, os.strerror(self._number))
        return self._real(*args, **options)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(
    ("name", "at"),
    [("fsync", 1), ("link", 1), ("link", 2), ("rename", 1), *(("fsync", n) for n in (2, 3, 4))],
)
def test_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int, number: int
) -> None:
    """Whatever fails, the message is in none of its mailboxes, and nothing is left of it."""
    Maildir(tmp_path).begin(MAILBOXES, b"").abort()
    draft = Maildir(tmp_path).begin(MAILBOXES, HEAD)
    draft.write(b"Hello\r\n")
    monkeypatch.setattr(os, name, Failing(getattr(os, name), at, number))
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        draft.commit()
    assert error.value.errno == number
    assert files(tmp_path) == []


class FullDisk(FileIO):
    """A file that has no room for anything."""

    def write(self, data: object) -> int:
        """There is none."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are opened on a disk that is full."""
    monkeypatch.setattr(Path, "open", lambda path, mode: BufferedWriter(FullDisk(path, mode)))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_at_the_end(tmp_path: Path) -> None:
    """What was buffered has no room: the message is not kept, and leaves nothing."""
    draft = Maildir(tmp_path).begin(MAILBOXES, HEAD)
    with pytest.raises(OSError, match="No space left") as error:
        draft.commit()
    assert error.value.errno == errno.ENOSPC
    assert files(tmp_path) == []


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_in_the_middle(tmp_path: Path) -> None:
    """A part of the message has no room: the writer is told, and drops it."""
    draft = Maildir(tmp_path).begin(MAILBOXES, HEAD)
    with pytest.raises(OSError, match="No space left"):
        draft.write(b"x" * 100_000)
    draft.abort()
    assert files(tmp_path) == []


def test_abort_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to tell that a file could not be taken away."""
    draft = Maildir(tmp_path).begin(["smith"], HEAD)
    monkeypatch.setattr(os, "unlink", Failing(os.unlink, 1, errno.EIO))
    draft.abort()


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    """Where no folder can be made no message can begin."""
    root = tmp_path / "mail"
    root.write_bytes(b"in the way")
    with pytest.raises(OSError, match="mail"):
        Maildir(root).begin(["smith"], HEAD)
    assert root.read_bytes() == b"in the way"


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    """A name the file system cannot take is an OSError, which the handler answers."""
    with pytest.raises(OSError, match="too long"):
        Maildir(tmp_path).begin(["x" * 300], HEAD)
