"""Relaying (3.6): the next host, and both paths on the way to it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smtp821 import RFC821_LENIENT, Domain, Limits, LocalProtocolError, Mail, Mailbox, Path, Rcpt
from smtp821.mail.relaying import Relayed, relay
from smtp821.protocol.paths import NULL_PATH, POSTMASTER, excess
from smtp821.testing.strategies import domains, forward_paths, mailboxes, paths, reverse_paths

ORIGINATOR = "<USERX@HOSTY.ARPA>"


def at(
    host: str, forward_path: str, reverse_path: str = ORIGINATOR, **options: Domain | Limits | None
) -> tuple[str | None, str, str]:
    """What a host, of one name or several, makes of two paths; all of it as text."""
    names = [Domain(name) for name in host.split()]
    result = relay(Path(forward_path), Path(reverse_path), names, **options)  # type: ignore[arg-type]
    next_host = None if result.next_host is None else result.next_host.text
    return next_host, result.forward_path.text, result.reverse_path.text


# The examples of the RFC.


@pytest.mark.clause("3.6-03", "4.1.1.MAIL-02", "4.1.1.RCPT-04")
def test_the_example_of_rcpt() -> None:
    """4.1.1 RCPT (p21): what HOSTA makes of the paths it receives, and HOSTB of those."""
    to = "<@HOSTA.ARPA,@HOSTB.ARPA:USERC@HOSTD.ARPA>"
    first = at("HOSTA.ARPA", to)
    assert first == (
        "HOSTB.ARPA",
        "<@HOSTB.ARPA:USERC@HOSTD.ARPA>",
        "<@HOSTA.ARPA:USERX@HOSTY.ARPA>",
    )
    second = at("HOSTB.ARPA", first[1], first[2])
    assert second == (
        "HOSTD.ARPA", "<USERC@HOSTD.ARPA>", "<@HOSTB.ARPA,@HOSTA.ARPA:USERX@HOSTY.ARPA>",
    )  # fmt: skip
    assert at("HOSTD.ARPA", *second[1:]) == (None, *second[1:])


@pytest.mark.clause("3.6-03")
def test_scenario_3() -> None:
    """Appendix F (p53): the relay host between MIT-AI and BBN-VAX."""
    assert at("USC-ISIE.ARPA", "<@USC-ISIE.ARPA:Jones@BBN-VAX.ARPA>", "<JQP@MIT-AI.ARPA>") == (
        "BBN-VAX.ARPA", "<Jones@BBN-VAX.ARPA>", "<@USC-ISIE.ARPA:JQP@MIT-AI.ARPA>",
    )  # fmt: skip


def test_example_7() -> None:
    """p16: JOE's message goes by HOSTX and HOSTY, and the notification back by the same way."""
    back = at("HOSTX.ARPA", "<@HOSTX.ARPA,@HOSTY.ARPA:SAM@HOSTZ.ARPA>", "<JOE@HOSTW.ARPA>")
    assert back[2] == "<@HOSTX.ARPA:JOE@HOSTW.ARPA>"
    assert at("HOSTY.ARPA", back[2], "<>") == ("HOSTX.ARPA", "<@HOSTX.ARPA:JOE@HOSTW.ARPA>", "<>")
    assert at("HOSTX.ARPA", back[2], "<>") == ("HOSTW.ARPA", "<JOE@HOSTW.ARPA>", "<>")


def test_example_8() -> None:
    """p23: where the message arrives, its return path is the reverse-path as it came."""
    came = "<@GHI.ARPA,@DEF.ARPA,@ABC.ARPA:JOE@ABC.ARPA>"
    assert at("JKL.ARPA", "<@JKL.ARPA:SAM@JKL.ARPA>", came) == (None, "<SAM@JKL.ARPA>", came)


# Where it goes.


@pytest.mark.clause("3.6-05", "3.6-06")
@pytest.mark.parametrize(
    ("forward_path", "next_host", "rewritten"),
    [
        # The first host of the route is not this one: it stays, and is the next (3.6).
        ("<@HOSTB:joe@HOSTD>", "HOSTB", "<@HOSTB:joe@HOSTD>"),
        ("<@HOSTB,@HOSTA:joe@HOSTD>", "HOSTB", "<@HOSTB,@HOSTA:joe@HOSTD>"),
        ("<@HOSTB:joe@HOSTA>", "HOSTB", "<@HOSTB:joe@HOSTA>"),
        # No route: the mailbox tells.
        ("<joe@HOSTD>", "HOSTD", "<joe@HOSTD>"),
        ("<joe@[10.0.0.27]>", "[10.0.0.27]", "<joe@[10.0.0.27]>"),
        # The route ends here.
        ("<@HOSTA:joe@HOSTD>", "HOSTD", "<joe@HOSTD>"),
        ("<@hostA:Joe@hostD>", "hostD", "<Joe@hostD>"),
        ('<@HOSTA:"a:b,@c"@HOSTD>', "HOSTD", '<"a:b,@c"@HOSTD>'),
        # By two names in a row; the second time later, it is another visit.
        ("<@HOSTA,@ALIAS:joe@HOSTD>", "HOSTD", "<joe@HOSTD>"),
        ("<@HOSTA,@HOSTB,@HOSTA:joe@HOSTD>", "HOSTB", "<@HOSTB,@HOSTA:joe@HOSTD>"),
    ],
)
def test_to_another_host(forward_path: str, next_host: str, rewritten: str) -> None:
    """The message goes on, and in any case this host's name is put into the reverse-path."""
    assert at("HOSTA ALIAS", forward_path) == (
        next_host, rewritten, "<@HOSTA:USERX@HOSTY.ARPA>",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("forward_path", "rewritten"),
    [
        ("<joe@HOSTA>", "<joe@HOSTA>"),
        ("<joe@hosta>", "<joe@hosta>"),
        ("<joe@Alias>", "<joe@Alias>"),
        ("<@HOSTA:joe@HOSTA>", "<joe@HOSTA>"),
        ("<@hostA,@alias:Joe@hostA>", "<Joe@hostA>"),
        ("<Postmaster>", "<Postmaster>"),
        ("<POSTMASTER>", "<POSTMASTER>"),
    ],
)
@pytest.mark.parametrize("reverse_path", [ORIGINATOR, "<@HOSTB:USERX@HOSTY.ARPA>", "<>"])
def test_to_a_mailbox_here(forward_path: str, rewritten: str, reverse_path: str) -> None:
    """It is delivered, under whatever name of this host, and its reverse-path is as it came."""
    assert at("HOSTA ALIAS", forward_path, reverse_path) == (None, rewritten, reverse_path)


# The way back.


@pytest.mark.clause("3.6-14")
def test_a_null_reverse_path_stays_null() -> None:
    """3.6: there are no notifications about notifications, wherever they are relayed."""
    assert at("HOSTA", "<@HOSTA:joe@HOSTD>", "<>") == ("HOSTD", "<joe@HOSTD>", "<>")


@pytest.mark.clause("1-02", "3.6-04", "4.1.1.MAIL-03")
def test_the_name_in_the_other_environment() -> None:
    """4.1.1 MAIL: the name put into the reverse-path is that of where the message goes."""
    result = at("HOSTA ALIAS", "<@ALIAS:joe@HOSTD>", sending_as=Domain("A.GATE"))
    assert result == ("HOSTD", "<joe@HOSTD>", "<@A.GATE:USERX@HOSTY.ARPA>")


_LONG = ",".join(f"@{letter * 60}" for letter in "abc")  # 185 characters


@pytest.mark.parametrize(
    ("local_part", "kept"),
    [
        (256 - len(f"<@HOSTA,{_LONG}:@HOSTY.ARPA>"), True),  # 256 with its brackets (AMB-41)
        (256 - len(f"<@HOSTA,{_LONG}:@HOSTY.ARPA>") + 1, False),
    ],
)
def test_a_way_back_that_is_too_long(local_part: int, kept: bool) -> None:
    """4.5.3: what cannot be sent is not made; the route of the older hosts is given up (3.6)."""
    mailbox = f"{'x' * local_part}@HOSTY.ARPA"
    route = f"@HOSTA,{_LONG}" if kept else "@HOSTA"
    result = at("HOSTA", "<joe@HOSTD>", f"<{_LONG}:{mailbox}>")
    assert result == ("HOSTD", "<joe@HOSTD>", f"<{route}:{mailbox}>")


def test_a_way_back_too_long_for_any_route() -> None:
    """In a dialect of long names: where even the own name does not fit, the mailbox is left."""
    mailbox = f"{'x' * 128}@{'y.' * 127}z"
    name = "n." * 70 + "n"
    assert excess(Path(f"<{mailbox}>"), RFC821_LENIENT.limits, sent=True) is None
    result = at(name, "<joe@HOSTD>", f"<@HOSTB:{mailbox}>", limits=RFC821_LENIENT.limits)
    assert result == ("HOSTD", "<joe@HOSTD>", f"<{mailbox}>")


# What is no path, or no host.


def test_a_null_forward_path() -> None:
    """RCPT has none (AMB-14)."""
    with pytest.raises(LocalProtocolError, match="<> is no forward-path"):
        at("HOSTA", "<>")


def test_postmaster_as_a_reverse_path() -> None:
    """MAIL has none: it would say nothing to the next host (AMB-15)."""
    with pytest.raises(LocalProtocolError, match="<Postmaster> is no reverse-path"):
        at("HOSTA", "<joe@HOSTD>", "<Postmaster>")


def test_a_host_without_a_name() -> None:
    """It could not say who it is."""
    with pytest.raises(
        LocalProtocolError, match=r"^a relay needs a name, to put it into reverse-paths \(3\.6\)$"
    ):
        at("", "<joe@HOSTD>")


# Properties.


@given(st.lists(domains(), min_size=1, max_size=4, unique=True), mailboxes(), mailboxes())
def test_a_message_that_goes_its_route(
    hosts: list[Domain], recipient: Mailbox, originator: Mailbox
) -> None:
    """It passes all the hosts of its route, and arrives with the route reversed."""
    assume(recipient.domain not in hosts)
    forward, reverse = Path.of(recipient, *hosts), Path.of(originator)
    passed = []
    here: Domain | None = hosts[0]
    while here is not None:
        passed.append(here)
        here, forward, reverse = attributes(relay(forward, reverse, [here]))
    assert passed == [*hosts, recipient.domain]
    assert forward == Path.of(recipient)
    assert reverse == Path.of(originator, *reversed(hosts))


def attributes(result: Relayed) -> tuple[Domain | None, Path, Path]:
    """The three parts of a result."""
    return result.next_host, result.forward_path, result.reverse_path


@pytest.mark.clause("3.1-05", "3.1-09", "3.6-06")
@given(forward_paths(), reverse_paths(), st.lists(domains(), min_size=1, max_size=3))
def test_what_goes_on_can_be_sent(forward: Path, reverse: Path, names: list[Domain]) -> None:
    """The next host is another one, the first that the path names, and both paths are legal."""
    result = relay(forward, reverse, names)
    assert result.forward_path.mailbox == forward.mailbox
    assert result.reverse_path.mailbox == reverse.mailbox
    if result.next_host is None:
        assert result.reverse_path == reverse
        return
    assert result.next_host not in names
    onward = result.forward_path
    assert onward.mailbox is not None
    assert result.next_host == [*onward.route, onward.mailbox.domain][0]
    assert bytes(Rcpt(onward)) == f"RCPT TO:{onward}\r\n".encode()
    assert bytes(Mail(result.reverse_path)) == f"MAIL FROM:{result.reverse_path}\r\n".encode()
    assert reverse.is_null or result.reverse_path.route[0] == names[0]
    assert not excess(result.reverse_path, Limits(), sent=True)


@pytest.mark.clause("2-08")
@given(paths(), reverse_paths(), st.lists(domains(), min_size=1, max_size=3))
def test_the_case_of_names(forward: Path, reverse: Path, names: list[Domain]) -> None:
    """Hosts are known by their names in any case of letters (2)."""
    swapped = [Domain(name.text.swapcase()) for name in names]
    assert relay(forward, reverse, names) == relay(forward, reverse, swapped)


@given(reverse_paths(), domains())
def test_postmaster_is_always_here(reverse: Path, name: Domain) -> None:
    """The one path without a host is that of this one."""
    assert relay(POSTMASTER, reverse, [name]) == Relayed(None, POSTMASTER, reverse)


@given(paths(), st.lists(domains(), min_size=1, max_size=2))
def test_null_is_null_everywhere(forward: Path, names: list[Domain]) -> None:
    """A notification is one as far as it goes."""
    assert relay(forward, NULL_PATH, names).reverse_path == NULL_PATH
