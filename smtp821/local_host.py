"""A host with local users: who is here, who is on which list, and who is elsewhere.

`LocalHost` is a value without I/O that judges paths, for RCPT, VRFY and EXPN. It compares user
names without regard to case, which 2 leaves to each host.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from .protocol.errors import LocalProtocolError
from .protocol.paths import Domain, Mailbox, Path
from .protocol.replies import Code, Reply

__all__ = ["Forward", "LocalHost"]

POSTMASTER = "postmaster"


@attrs.frozen
class Forward:
    """Where a user is now, and what RCPT is answered."""

    path: Path
    reply: int = attrs.field(validator=attrs.validators.in_([251, 551]))
    """251: the mail is taken, to be forwarded from the mailbox of that name; 551: it is not."""


@attrs.frozen(kw_only=True)
class LocalHost:
    """Who has a mailbox here. Names are in lower case."""

    domain: Domain
    mailboxes: Mapping[str, str] | None = None
    """User -> full name (or ""); None: whoever is asked for."""
    lists: Mapping[str, Sequence[Path]] = attrs.field(factory=dict)
    """List -> its members, here or elsewhere."""
    forwards: Mapping[str, Forward] = attrs.field(factory=dict)
    """User -> where they are now."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], domain: str | None = None) -> LocalHost:
        """The host that a configuration file describes (README, "Configuration").

        config: the file as `tomllib` gives it; domain: instead of the one in the file.
        Raises ValueError, which says what is wrong and where.
        """
        unknown = config.keys() - {"domain", "mailboxes", "lists", "forwards"}
        if unknown:
            raise ValueError(f"there is no setting {', '.join(sorted(unknown))}")
        try:
            mailboxes = _table(config, "mailboxes", str)
            lists = _table(config, "lists", list)
            forwards = _table(config, "forwards", dict)
            return cls(
                domain=Domain(domain or config.get("domain", "localhost")),
                mailboxes=mailboxes if "mailboxes" in config else None,
                lists={name: [_path(text, "lists") for text in who] for name, who in lists.items()},
                forwards={name: _forward(name, entry) for name, entry in forwards.items()},
            )
        except LocalProtocolError as error:
            raise ValueError(str(error)) from None

    def judge(self, path: Path) -> Reply:
        """The reply to RCPT: 250 or 251 for those who get their mail here, 550 or 551 if not."""
        user = self._user(path)
        if user is None:
            return Reply(Code.MAILBOX_UNAVAILABLE, "That host is not here, and I do not relay")
        forward = self.forwards.get(user)
        if forward is not None and forward.reply == Code.NOT_LOCAL:
            return Reply.forward(forward.reply, forward.path)
        if not self.mailboxes_of(path):
            return Reply(Code.MAILBOX_UNAVAILABLE, "No such user here")
        return Reply(Code.OKAY) if forward is None else Reply.forward(forward.reply, forward.path)

    def mailboxes_of(self, path: Path) -> tuple[str, ...]:
        """The local mailboxes that mail for a path goes to: one, or a list's local members."""
        return tuple(dict.fromkeys(self._resolve(path, set())))

    def verify(self, string: str) -> Reply:
        """The reply to VRFY: one user's mailbox, by user name, path or full name (3.3)."""
        user = self._named(string) or ""
        if user in self.forwards:
            return Reply.forward(self.forwards[user].reply, self.forwards[user].path)
        if user in self.lists:
            return self._verify_list(user)
        if user and self._is_here(user):
            return Reply(Code.OKAY, self._entry(user))
        words = string.lower().split()
        found = [
            user
            for user, name in (self.mailboxes or {}).items()
            if words and set(words) <= set(name.lower().split())
        ]
        if len(found) > 1:
            return Reply(Code.NAME_NOT_ALLOWED, "User ambiguous")
        if not found:
            return Reply(Code.MAILBOX_UNAVAILABLE, "String does not match anything")
        return Reply(Code.OKAY, self._entry(found[0]))

    def expand(self, string: str) -> Reply:
        """The reply to EXPN: the members of a list, a line each, or the one user (3.3)."""
        user = self._named(string) or ""
        if members := self.lists.get(user):
            return Reply(Code.OKAY, [self._member(path) for path in members])
        if self.mailboxes is not None and user in self.mailboxes:
            return Reply(Code.OKAY, self._entry(user))
        return Reply(Code.MAILBOX_UNAVAILABLE, "No such list here")

    def _user(self, path: Path) -> str | None:
        """The user here that a path leads to, in lower case; None if it leads elsewhere."""
        if path.is_postmaster:
            return POSTMASTER
        mailbox = path.mailbox
        if mailbox is None or any(host != self.domain for host in (*path.route, mailbox.domain)):
            return None
        return mailbox.user.lower()

    def _is_here(self, user: str) -> bool:
        return self.mailboxes is None or user in self.mailboxes or user == POSTMASTER

    def _resolve(self, path: Path, seen: set[str]) -> Iterator[str]:
        user = self._user(path)
        if user is None or user in seen:
            return
        seen.add(user)
        forward = self.forwards.get(user)
        if forward is not None:
            if forward.reply == Code.WILL_FORWARD and self._user(forward.path) is None:
                yield user  # held here, for whatever forwards it
            elif forward.reply == Code.WILL_FORWARD:
                yield from self._resolve(forward.path, seen)
        elif user in self.lists:
            for member in self.lists[user]:
                yield from self._resolve(member, seen)
        elif self._is_here(user):
            yield user

    def _named(self, string: str) -> str | None:
        """The user or list that a string of VRFY or EXPN names, if it can be one."""
        for text in (string, f"<{string}>", f"<{string}@{self.domain}>"):
            try:
                return self._user(Path(text))
            except LocalProtocolError:
                continue
        return None

    def _verify_list(self, name: str) -> Reply:
        """A list is verified only if mail for it reaches all who are on it (3.3)."""
        members = self.lists[name]
        if not members or not all(self._resolves_wholly(path, {name}) for path in members):
            return Reply(Code.MAILBOX_UNAVAILABLE, "Mail does not reach everybody on that list")
        return Reply(Code.OKAY, self._entry(name))

    def _resolves_wholly(self, path: Path, seen: set[str]) -> bool:
        user = self._user(path) or ""
        if user in self.lists and user not in seen:
            return all(self._resolves_wholly(p, seen | {user}) for p in self.lists[user])
        return user in seen or bool(self.mailboxes_of(path))

    def _member(self, path: Path) -> str:
        user = self._user(path)
        name = (self.mailboxes or {}).get(user, "") if user is not None else ""
        return f"{name} {path}" if name else str(path)

    def _entry(self, user: str) -> str:
        """A line of a reply: "Full Name <mailbox>" (3.3)."""
        name = (self.mailboxes or {}).get(user, "")
        path = Path.of(f"{_local_part(user)}@{self.domain}")
        return f"{name} {path}" if name else str(path)


def _local_part(user: str) -> str:
    """A user name as it is written in a path (4.1.2 <local-part>)."""
    with contextlib.suppress(LocalProtocolError):
        if Mailbox(f"{user}@a").user == user:
            return user
    quoted = user.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _table(config: Mapping[str, Any], name: str, kind: type) -> dict[str, Any]:
    table = config.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, kind) for v in table.values()):
        raise ValueError(f"[{name}] is a table, user = {_EXAMPLES[name]}")
    for user in table:
        Mailbox(f"{_local_part(user)}@a")  # raises for what no path can name
    return {user.lower(): value for user, value in table.items()}


_EXAMPLES = {
    "mailboxes": '"Full Name"',
    "lists": '["user@host", ...]',
    "forwards": '{ path = "<user@host>", reply = 551 }',
}


def _path(text: object, table: str) -> Path:
    if not isinstance(text, str) or text in ("", "<>"):
        raise ValueError(f'[{table}] has paths like "<user@host>", not {text!r}')
    return Path(text if text.startswith("<") else f"<{text}>")


def _forward(name: str, entry: Mapping[str, Any]) -> Forward:
    if entry.keys() != {"path", "reply"} or str(entry["reply"]) not in ("251", "551"):
        raise ValueError(f"[forwards] {name} = {_EXAMPLES['forwards']}; reply is 251 or 551")
    return Forward(_path(entry["path"], "forwards"), entry["reply"])
