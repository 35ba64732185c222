"""Who is here, who is on a list, who is elsewhere: RCPT, VRFY and EXPN (3.1, 3.2, 3.3)."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import Domain, Path, Reply
from smtp821.local_host import Forward, LocalHost
from smtp821.testing.strategies import forward_paths

CONFIGURATION: Final = """
domain = "ISI.ARPA"

[mailboxes]
smith = "Fred Smith"
Jones = "Sam Q. Smith"
brown = ""
"joe,smith" = "Joe Smith"

[lists]
friends = ["smith@ISI.ARPA", "<jones@isi.arpa>", "x@far.example"]
here = ["smith@ISI.ARPA", "brown@ISI.ARPA"]
all = ["here@ISI.ARPA", "jones@ISI.ARPA", "all@ISI.ARPA"]
far = ["x@far.example"]
outer = ["friends@ISI.ARPA"]
gone = ["nobody@ISI.ARPA"]
empty = []

[forwards]
crispin = { path = "<Admin.MRC@SU-SCORE.ARPA>", reply = 251 }
postel = { path = "<postel@USC-ISIF.ARPA>", reply = 551 }
boss = { path = "smith@ISI.ARPA", reply = 251 }
fred = { path = "smith@ISI.ARPA", reply = 551 }
ghost = { path = "<nobody@ISI.ARPA>", reply = 251 }
loop = { path = "<loop@ISI.ARPA>", reply = 251 }
"""
ISI: Final = LocalHost.from_config(tomllib.loads(CONFIGURATION))
ANYBODY: Final = LocalHost.from_config({}, "ISI.ARPA")
UNKNOWN: Final = Reply(550, "No such user here")
ELSEWHERE: Final = Reply(550, "That host is not here, and I do not relay")
NO_MATCH: Final = Reply(550, "String does not match anything")
NO_LIST: Final = Reply(550, "No such list here")


def at_isi(*users: str) -> list[Path]:
    """The paths of users here."""
    return [Path(f"<{user}@ISI.ARPA>") for user in users]


# Without a configuration.


def test_anybody_here() -> None:
    """With no configuration mail is for any user at the domain, and for no other host."""
    assert ANYBODY.judge(Path("<whoever@isi.ARPA>")) == Reply(250)
    assert ANYBODY.mailboxes_of(Path("<WhoEver@isi.ARPA>")) == ("whoever",)
    assert ANYBODY.judge(Path("<whoever@far.example>")) == ELSEWHERE
    assert ANYBODY.mailboxes_of(Path("<whoever@far.example>")) == ()


def test_the_default_domain() -> None:
    """A host has a name, whatever is configured."""
    assert LocalHost.from_config({}).domain == Domain("localhost")
    assert LocalHost.from_config({"domain": "a.b"}).domain == Domain("a.b")
    assert LocalHost.from_config({"domain": "a.b"}, "c.d").domain == Domain("c.d")


def test_nobody_at_all() -> None:
    """An empty table of mailboxes is not the same as none: there is only the postmaster."""
    host = LocalHost.from_config({"domain": "ISI.ARPA", "mailboxes": {}})
    assert host.judge(Path("<smith@ISI.ARPA>")) == UNKNOWN
    assert host.judge(Path("<Postmaster>")) == Reply(250)


# RCPT.


@pytest.mark.clause("2-08", "3.1-07", "3.2-01", "3.6-07", "4.1.1.RCPT-03", "4.2.1-09", "AMB-19")
@pytest.mark.parametrize(
    ("path", "reply", "mailboxes"),
    [
        ("<smith@ISI.ARPA>", Reply(250), ("smith",)),
        ("<SMITH@isi.arpa>", Reply(250), ("smith",)),
        ("<jones@ISI.ARPA>", Reply(250), ("jones",)),
        ('<"Joe,Smith"@ISI.ARPA>', Reply(250), ("joe,smith",)),
        ("<Joe\\,Smith@ISI.ARPA>", Reply(250), ("joe,smith",)),
        ("<@ISI.ARPA:smith@ISI.ARPA>", Reply(250), ("smith",)),
        ("<@ISI.ARPA,@isi.arpa:smith@ISI.ARPA>", Reply(250), ("smith",)),
        ("<Postmaster>", Reply(250), ("postmaster",)),
        ("<POSTMASTER>", Reply(250), ("postmaster",)),
        ("<postmaster@ISI.ARPA>", Reply(250), ("postmaster",)),
        ("<nobody@ISI.ARPA>", UNKNOWN, ()),
        ("<smith@far.example>", ELSEWHERE, ()),
        ("<smith@sub.ISI.ARPA>", ELSEWHERE, ()),
        ("<@far.example:smith@ISI.ARPA>", ELSEWHERE, ()),
        ("<@ISI.ARPA:smith@far.example>", ELSEWHERE, ()),
        ("<friends@ISI.ARPA>", Reply(250), ("smith", "jones")),
        ("<Here@ISI.ARPA>", Reply(250), ("smith", "brown")),
        ("<all@ISI.ARPA>", Reply(250), ("smith", "brown", "jones")),
        ("<outer@ISI.ARPA>", Reply(250), ("smith", "jones")),
        ("<far@ISI.ARPA>", UNKNOWN, ()),
        ("<gone@ISI.ARPA>", UNKNOWN, ()),
        ("<empty@ISI.ARPA>", UNKNOWN, ()),
        ("<boss@ISI.ARPA>", Reply.forward(251, Path("<smith@ISI.ARPA>")), ("smith",)),
        ("<fred@ISI.ARPA>", Reply.forward(551, Path("<smith@ISI.ARPA>")), ()),
        ("<ghost@ISI.ARPA>", UNKNOWN, ()),
        ("<loop@ISI.ARPA>", UNKNOWN, ()),
        (
            "<crispin@ISI.ARPA>",
            Reply.forward(251, Path("<Admin.MRC@SU-SCORE.ARPA>")),
            ("crispin",),
        ),
        ("<postel@ISI.ARPA>", Reply.forward(551, Path("<postel@USC-ISIF.ARPA>")), ()),
    ],
)
def test_recipients(path: str, reply: Reply, mailboxes: tuple[str, ...]) -> None:
    """Each path has its reply, and the mailboxes that its mail goes to (3.1, 3.2)."""
    assert ISI.judge(Path(path)) == reply
    assert ISI.mailboxes_of(Path(path)) == mailboxes


@given(forward_paths())
def test_what_is_accepted_has_a_mailbox(path: Path) -> None:
    """There is no accepting mail for which there is no place (3.2)."""
    for host in (ISI, ANYBODY):
        assert (host.judge(path).code < 300) == bool(host.mailboxes_of(path))


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.sampled_from("abcdefg"), max_size=4),
        max_size=4,
    ),
    st.dictionaries(st.sampled_from("aefg"), st.sampled_from("abcdefgh"), max_size=4),
    st.sampled_from("abcdefgh"),
)
def test_any_lists_and_forwards(
    lists: dict[str, list[str]], forwards: dict[str, str], user: str
) -> None:
    """Lists and forwards may lead to each other in circles: all comes to an end, and agrees."""
    host = LocalHost(
        domain=Domain("ISI.ARPA"),
        mailboxes={"e": "", "f": "E F"},
        lists={name: at_isi(*who) for name, who in lists.items()},
        forwards={name: Forward(at_isi(where)[0], 251) for name, where in forwards.items()},
    )
    (path,) = at_isi(user)
    mailboxes = host.mailboxes_of(path)
    assert (host.judge(path).code < 300) == bool(mailboxes)
    assert set(mailboxes) <= {"e", "f"}
    assert len(set(mailboxes)) == len(mailboxes)
    assert host.verify(user).code in (250, 251, 550)
    assert host.expand(user).code in (250, 550)


# VRFY.


@pytest.mark.clause("3.2-01", "3.3-01", "3.3-03", "3.3-04", "3.3-05", "3.3-13", "4.1.1.VRFY-01")
@pytest.mark.parametrize(
    ("string", "reply"),
    [
        ("smith", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("SMITH", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("smith@isi.arpa", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("<smith@ISI.ARPA>", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("brown", Reply(250, "<brown@ISI.ARPA>")),
        ("Fred Smith", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("fred", Reply.forward(551, Path("<smith@ISI.ARPA>"))),
        ("Q.", Reply(250, "Sam Q. Smith <jones@ISI.ARPA>")),
        ("smith fred", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("Sam Q. Smith", Reply(250, "Sam Q. Smith <jones@ISI.ARPA>")),
        ('"joe,smith"', Reply(250, 'Joe Smith <"joe,smith"@ISI.ARPA>')),
        ("Postmaster", Reply(250, "<postmaster@ISI.ARPA>")),
        ("crispin", Reply.forward(251, Path("<Admin.MRC@SU-SCORE.ARPA>"))),
        ("postel", Reply.forward(551, Path("<postel@USC-ISIF.ARPA>"))),
        ("nobody", NO_MATCH),
        ("smith@far.example", NO_MATCH),
        ("Fred Jones", NO_MATCH),
        ("<>", NO_MATCH),
        (" ", NO_MATCH),
        ("here", Reply(250, "<here@ISI.ARPA>")),
        ("all", Reply(250, "<all@ISI.ARPA>")),
        ("friends", Reply(550, "Mail does not reach everybody on that list")),
        ("outer", Reply(550, "Mail does not reach everybody on that list")),
        ("gone", Reply(550, "Mail does not reach everybody on that list")),
        ("empty", Reply(550, "Mail does not reach everybody on that list")),
    ],
)
def test_verify(string: str, reply: Reply) -> None:
    """One user: who it is, by user name, mailbox, path or full name (3.3)."""
    assert ISI.verify(string) == reply


@pytest.mark.clause("3.3-08")
def test_verify_where_names_are_ambiguous() -> None:
    """A full name that fits more than one user is 553 (3.3)."""
    host = LocalHost.from_config({"mailboxes": {"a": "Jon Smith", "b": "Jane Smith"}})
    assert host.verify("Smith") == Reply(553, "User ambiguous")
    assert host.verify("Jane Smith") == Reply(250, "Jane Smith <b@localhost>")


def test_verify_where_anybody_is_here() -> None:
    """Without a table of mailboxes everybody is here; a string that is no user is not."""
    assert ANYBODY.verify("whoever") == Reply(250, "<whoever@ISI.ARPA>")
    assert ANYBODY.verify("who ever") == NO_MATCH


# EXPN.


@pytest.mark.clause("3.3-02", "3.3-06", "3.3-07", "4.1.1.EXPN-01", "AMB-20")
@pytest.mark.parametrize(
    ("string", "reply"),
    [
        (
            "friends",
            Reply(
                250,
                [
                    "Fred Smith <smith@ISI.ARPA>",
                    "Sam Q. Smith <jones@isi.arpa>",
                    "<x@far.example>",
                ],
            ),
        ),
        ("HERE", Reply(250, ["Fred Smith <smith@ISI.ARPA>", "<brown@ISI.ARPA>"])),
        ("here@isi.arpa", Reply(250, ["Fred Smith <smith@ISI.ARPA>", "<brown@ISI.ARPA>"])),
        ("far", Reply(250, "<x@far.example>")),
        ("smith", Reply(250, "Fred Smith <smith@ISI.ARPA>")),
        ("crispin", NO_LIST),
        ("nobody", NO_LIST),
        ("empty", NO_LIST),
        ("two words", NO_LIST),
        ("friends@far.example", NO_LIST),
    ],
)
def test_expand(string: str, reply: Reply) -> None:
    """A list: its members as they are written, one a line, with their full names (3.3)."""
    assert ISI.expand(string) == reply


def test_expand_where_anybody_is_here() -> None:
    """Nobody's being here says nothing of there being a list of that name."""
    assert ANYBODY.expand("whoever") == NO_LIST


@pytest.mark.parametrize("user", ["a b", 'quo"te', "back\\slash", "a,b", "a@b"])
def test_names_that_need_quotes(user: str) -> None:
    """A user name is written in a path as 4.1.2 has it, and such a path leads to the user."""
    host = LocalHost.from_config({"domain": "ISI.ARPA", "mailboxes": {user: "Odd One"}})
    reply = host.verify("odd one")
    path = Path(reply.text.removeprefix("Odd One "))
    assert path.mailbox is not None
    assert path.mailbox.user == user
    assert host.mailboxes_of(path) == (user,)


# The configuration.


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mailbox": {}}, "there is no setting mailbox"),
        ({"z": 1, "a": 2}, "there is no setting a, z"),
        ({"domain": "no domain"}, "is not a Domain"),
        ({"domain": 5}, "is not a Domain"),
        ({"mailboxes": ["smith"]}, r"\[mailboxes\] is a table"),
        ({"mailboxes": {"smith": 5}}, r"\[mailboxes\] is a table"),
        ({"mailboxes": {"sm\u00efth": ""}}, "is not a Mailbox"),
        ({"mailboxes": {"": ""}}, "is not a Mailbox"),
        ({"lists": {"friends": "smith@a.b"}}, r"\[lists\] is a table"),
        ({"lists": {"friends": [5]}}, r"\[lists\] has paths"),
        ({"lists": {"friends": ["smith"]}}, "is not a Path"),
        ({"lists": {"friends": ["<>"]}}, r"\[lists\] has paths"),
        ({"forwards": {"jones": "<jones@a.b>"}}, r"\[forwards\] is a table"),
        ({"forwards": {"jones": {"path": "<jones@a.b>"}}}, "reply is 251 or 551"),
        ({"forwards": {"jones": {"path": "<jones@a.b>", "reply": 250}}}, "reply is 251 or 551"),
        ({"forwards": {"jones": {"path": "<jones>", "reply": 251}}}, "is not a Path"),
        ({"forwards": {"jones": {"path": 5, "reply": 251}}}, r"\[forwards\] has paths"),
        (
            {"forwards": {"jones": {"path": "<a@b>", "reply": 251, "x": 1}}},
            "reply is 251 or 551",
        ),
    ],
)
def test_wrong_configurations(config: dict[str, Any], message: str) -> None:
    """What is wrong is a ValueError that says what, and where."""
    with pytest.raises(ValueError, match=message):
        LocalHost.from_config(config)


@pytest.mark.clause("AMB-19")
def test_a_forward_is_251_or_551() -> None:
    """No other reply carries a path (3.2)."""
    with pytest.raises(ValueError, match="reply"):
        Forward(Path("<a@b.c>"), 250)


def test_a_name_is_looked_up_as_a_forward_first() -> None:
    """Where a name is configured twice, RCPT, VRFY and delivery agree on what it means."""
    host = LocalHost.from_config(
        {
            "domain": "ISI.ARPA",
            "mailboxes": {"jones": "Jones"},
            "lists": {"jones": ["a@ISI.ARPA"]},
            "forwards": {"jones": {"path": "<jones@far.example>", "reply": 551}},
        }
    )
    gone = Reply.forward(551, Path("<jones@far.example>"))
    assert host.judge(Path("<jones@ISI.ARPA>")) == gone
    assert host.verify("jones") == gone
    assert host.mailboxes_of(Path("<jones@ISI.ARPA>")) == ()
