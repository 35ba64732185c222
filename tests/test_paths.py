"""Domains, mailboxes and paths (4.1.2, 3.6, 3.7): values that keep their text."""

from __future__ import annotations

import itertools
from typing import Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp821 import NULL_PATH, POSTMASTER, Domain, Limits, LocalProtocolError, Mailbox, Path
from smtp821.protocol.paths import excess, maker, trusted

DOMAINS: Final = [
    "USC-ISIF.ARPA", "usc-isif.arpa", "Fred.Cambridge.UK", "a", "x.1", "3com.com", "#123",
    "#1.ARPA", "[123.255.37.2]", "[10.0.0.27].#9.abc", "a--b", "n" * 63,
]  # fmt: skip
NOT_DOMAINS: Final = [
    "", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", " a", "a ", "a\r\n", "a\n", "\0", "#",
    "#x", "[1.2.3]", "[1.2.3.256]", "[1.2.3.4", "1.2.3.4", "12", "@a", "a@b", "<a>", "\xe9.com",
    "\u212a.com", "n" * 64,
]  # fmt: skip
LOCAL_PARTS: Final = {
    # as it is written: the user it names
    "Smith": "Smith",
    "Q-Smith": "Q-Smith",
    "a.b.c": "a.b.c",
    "!#$%&'*+-/=?^_`{|}~": "!#$%&'*+-/=?^_`{|}~",
    "Joe\\,Smith": "Joe,Smith",
    '"Joe,Smith"': "Joe,Smith",
    '"Joe Smith"': "Joe Smith",
    "Sam\\ Q\\.\\ Smith": "Sam Q. Smith",
    "\\@": "@",
    "a\\@b\\:c": "a@b:c",
    '"a@b:c,<d>"': "a@b:c,<d>",
    '"@"': "@",
    '"\\""': '"',
    '"\\\\"': "\\",
    "\\\\": "\\",
    '\\"a\\"': '"a"',
    '"\\a"': "a",
    '"\\\\a"': "\\a",
    '" "': " ",
}
NOT_MAILBOXES: Final = [
    "", "@", "a", "a@", "@a", "a@@b", "a@b@c", "a b@c", "a..b@c", ".a@b", "a.@b", '""@a', '"a@b',
    'a"b@c', '"a"b@c', '"a"."b"@c', "a\\@b", "a,b@c", "a@b ", " a@b", "a@b\r\n", '"\r"@a', "\\\n@a",
    '"\0"@a', "a\x7f@b", "\xe9@a", "<a@b>", "@x:a@b",
]  # fmt: skip
ROUTES: Final[list[tuple[str, ...]]] = [
    (),
    ("ONE",),
    ("ONE", "TWO"),
    ("[1.2.3.4]", "#9", "a.b-c.ARPA"),
    ("ABC.ARPA",) * 20,
]
NOT_PATHS: Final = [
    "", "a@b", "<a@b", "a@b>", "<u@x", "< u @ x >", "<u @x>", "<u@ x>", "< >", "<<>>", "<a>", "<@>",
    "<@a>", "<@a:>", "<:a@b>", "<@a b@c>", "<@a,b@c>", "<@a,:b@c>", "<,@a:b@c>", "<@a,,@b:c@d>",
    "<@a, @b:c@d>", "<@a:@b:c@d>", "<@a;@b:c@d>", "<a@b>x", "x<a@b>", "<a@b><c@d>", "<a@b> ",
    " <a@b>", "<@ab@c>", "<a@b>\r\n", "<a@b\r\n>", "<\\\r\\\n@b>", '<"\r\n"@b>', "<a@1.2.3.4>",
    "<Postmaster", "Postmaster", "<Postmaster@>", "<Postmistress>", "<\xe9@b>", "<>\n",
]  # fmt: skip


# Texts, in and out.


@pytest.mark.clause("3.7-01", "4.1.2-18", "4.1.2-31", "AMB-13")
@pytest.mark.parametrize("text", DOMAINS)
def test_domain(text: str) -> None:
    """3.7: a name, a number or a dotted quad, as it was written."""
    domain = Domain(text)
    assert domain.text == str(domain) == text


@pytest.mark.clause("4.1.2-17", "4.1.2-21", "AMB-13")
@pytest.mark.parametrize("text", NOT_DOMAINS)
def test_no_domain(text: str) -> None:
    """3.7, 4.1.2: any other text is refused, and shown in ASCII without line ends."""
    with pytest.raises(LocalProtocolError, match="is not a Domain; one looks like") as caught:
        Domain(text)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@pytest.mark.clause("4.1.2-22", "4.1.2-29")
@pytest.mark.parametrize(("local_part", "user"), LOCAL_PARTS.items())
@pytest.mark.parametrize("domain", ["USC-ISIF.ARPA", "#123", "[1.2.3.4]"])
def test_mailbox(local_part: str, user: str, domain: str) -> None:
    """4.1.2: the parts of a mailbox, and the user with quotes and backslashes undone."""
    mailbox = Mailbox(f"{local_part}@{domain}")
    assert mailbox.text == str(mailbox) == f"{local_part}@{domain}"
    assert mailbox.local_part == local_part
    assert mailbox.domain == Domain(domain)
    assert mailbox.domain.text == domain
    assert mailbox.user == user


@pytest.mark.clause("4.1.2-19", "4.1.2-20")
@pytest.mark.parametrize("text", NOT_MAILBOXES)
def test_no_mailbox(text: str) -> None:
    """4.1.2: any other text is refused."""
    with pytest.raises(LocalProtocolError, match="is not a Mailbox; one looks like"):
        Mailbox(text)


@pytest.mark.clause("3.6-01", "3.6-02", "4.1.1.MAIL-02")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("local_part", LOCAL_PARTS)
def test_path(local_part: str, route: tuple[str, ...]) -> None:
    """3.6: the parts of a path, whatever is quoted in it."""
    hosts = ",".join(f"@{host}" for host in route)
    text = f"<{hosts}:{local_part}@ABC.ARPA>" if route else f"<{local_part}@ABC.ARPA>"
    path = Path(text)
    assert path.text == str(path) == text
    assert path.route == tuple(map(Domain, route))
    assert tuple(map(str, path.route)) == route
    assert path.mailbox == Mailbox(f"{local_part}@ABC.ARPA")
    assert str(path.mailbox) == f"{local_part}@ABC.ARPA"
    assert not path.is_null
    assert not path.is_postmaster


@pytest.mark.clause("2-05", "4.1.1.RCPT-02", "4.1.2-15", "4.1.2-16")
@pytest.mark.parametrize("text", NOT_PATHS)
def test_no_path(text: str) -> None:
    """4.1.2: any other text is refused."""
    with pytest.raises(LocalProtocolError, match="is not a Path; one looks like"):
        Path(text)


@pytest.mark.parametrize("kind", [Domain, Mailbox, Path])
@pytest.mark.parametrize("value", [None, b"<a@b>", 1, ["<a@b>"], Domain("a")])
def test_no_text(kind: type[Domain | Mailbox | Path], value: object) -> None:
    """What is no text is refused too, and with the same error."""
    with pytest.raises(LocalProtocolError, match=f"is not a {kind.__name__}"):
        kind(value)  # type: ignore[arg-type]


def test_null_path() -> None:
    """3.6: "<>" is the reverse-path of a notification; it has no parts."""
    path = Path("<>")
    assert path == NULL_PATH
    assert (path.is_null, path.is_postmaster) == (True, False)
    assert (path.mailbox, path.route, str(path)) == (None, (), "<>")


@pytest.mark.clause("AMB-15")
@pytest.mark.parametrize("text", ["<Postmaster>", "<postmaster>", "<POSTMASTER>", "<pOsTmAsTeR>"])
def test_postmaster(text: str) -> None:
    """AMB-15: <Postmaster> is a path without a domain, in any case."""
    path = Path(text)
    assert path == POSTMASTER
    assert hash(path) == hash(POSTMASTER)
    assert (path.is_null, path.is_postmaster) == (False, True)
    assert (path.mailbox, path.route, str(path)) == (None, (), text)


def test_postmaster_with_domain_is_a_mailbox() -> None:
    """AMB-15: with a domain, and even with a route, Postmaster is a user like any other."""
    assert not Path("<Postmaster@abc>").is_postmaster
    assert not Path("<@x:Postmaster@abc>").is_postmaster
    assert Path("<Postmaster@abc>") != Path("<postmaster@abc>")


# Equality and hashes.


EQUAL: Final[list[tuple[type[Domain | Mailbox | Path], str, str]]] = [
    (Domain, "USC-ISIF.ARPA", "usc-isif.arpa"),
    (Mailbox, "Smith@Alpha.ARPA", "Smith@ALPHA.arpa"),
    (Mailbox, '"a@B"@Alpha', '"a@B"@ALPHA'),
    (Path, "<Smith@Alpha.ARPA>", "<Smith@alpha.ARPA>"),
    (Path, "<@ONE,@Two:JOE@THREE>", "<@one,@TWO:JOE@three>"),
    (Path, '<@ONE:"x:Y@Z"@THREE>', '<@one:"x:Y@Z"@three>'),
    (Path, "<Postmaster>", "<POSTMASTER>"),
]
UNEQUAL: Final[list[tuple[type[Domain | Mailbox | Path], str, str]]] = [
    (Domain, "abc", "abd"),
    (Domain, "#1", "#01"),
    (Mailbox, "Smith@abc", "smith@abc"),
    (Mailbox, "Smith@abc", "Smith@abd"),
    (Mailbox, '"a@B"@c', '"a@b"@c'),
    (Mailbox, "Joe\\,Smith@x", '"Joe,Smith"@x'),
    (Path, "<JOE@THREE>", "<joe@THREE>"),
    (Path, "<@ONE:JOE@THREE>", "<@ONE:joe@THREE>"),
    (Path, '<@ONE:"x:Y@Z"@THREE>', '<@ONE:"x:y@Z"@THREE>'),
    (Path, "<@ONE:JOE@THREE>", "<@TWO:JOE@THREE>"),
    (Path, "<@ONE,@TWO:JOE@THREE>", "<@TWO,@ONE:JOE@THREE>"),
    (Path, "<@ONE:JOE@THREE>", "<JOE@THREE>"),
    (Path, "<>", "<Postmaster>"),
    (Path, "<Postmaster>", "<Postmaster@abc>"),
]


@pytest.mark.parametrize(("kind", "one", "other"), EQUAL)
def test_equal(kind: type[Domain | Mailbox | Path], one: str, other: str) -> None:
    """2, AMB-15: domains are compared without regard to case, and keep their text."""
    assert kind(one) == kind(other)
    assert hash(kind(one)) == hash(kind(other))
    assert len({kind(one), kind(other)}) == 1
    assert str(kind(one)) != str(kind(other))


@pytest.mark.clause("2-07", "4.1.2-04")
@pytest.mark.parametrize(("kind", "one", "other"), UNEQUAL)
def test_unequal(kind: type[Domain | Mailbox | Path], one: str, other: str) -> None:
    """2, AMB-42: local parts are compared to the letter, as raw text."""
    assert kind(one) != kind(other)
    assert len({kind(one), kind(other)}) == 2


def test_kinds_are_unequal() -> None:
    """A value is not its text, nor a value of another kind."""
    values: list[object] = ["abc", Domain("abc"), "a@b", Mailbox("a@b"), "<a@b>", Path("<a@b>")]
    assert all(one != other for one, other in itertools.combinations(values, 2))


@pytest.mark.parametrize("value", [Domain("a"), Mailbox("a@b"), Path("<a@b>")])
def test_frozen(value: Domain | Mailbox | Path) -> None:
    """Values do not change."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.text = "other"  # type: ignore[misc]


def test_values_that_are_made_equal_checked_ones() -> None:
    """What the parser makes is what a program would."""
    make = maker(Path, "text")
    assert make("<@ONE:JOE@THREE>") == Path("<@ONE:JOE@THREE>")
    assert str(make("<>")) == "<>"


def test_trusted_values_equal_checked_ones() -> None:
    """What the parser makes without a check is the same value."""
    path = trusted(Path, "text", "<@ONE:JOE@THREE>")
    assert path == Path("<@one:JOE@three>")
    assert hash(path) == hash(Path("<@one:JOE@three>"))
    assert repr(path) == "Path(text='<@ONE:JOE@THREE>')"


# Making a path of its parts.


def test_path_of() -> None:
    """3.6: a mailbox, and the hosts to pass on the way, the nearest first."""
    assert Path.of("JOE@THREE").text == "<JOE@THREE>"
    assert Path.of("JOE@THREE", "ONE", "TWO").text == "<@ONE,@TWO:JOE@THREE>"
    assert Path.of(Mailbox("JOE@THREE"), Domain("#1")).text == "<@#1:JOE@THREE>"


@pytest.mark.parametrize("text", ["<a@b>", "<@ONE:a@b>", "<@[1.2.3.4],@#5:\\@@b>"])
def test_path_of_its_parts(text: str) -> None:
    """3.6: a path is what its parts make."""
    path = Path(text)
    assert path.mailbox is not None
    assert Path.of(path.mailbox, *path.route).text == text


@pytest.mark.parametrize(
    "parts",
    [
        ("JOE",), ("JOE@",), ("a@b", ""), ("a@b", "ONE,"), ("a@b", "x y"), ("a@b>",), ("", "ONE"),
        ("",), ("Postmaster",), ("@evil:u@x",), ("u@x", "a,@b"),
    ],
)  # fmt: skip
def test_path_of_no_parts(parts: tuple[str, ...]) -> None:
    """3.6: each part is to be what it should be, so that none can slip another in."""
    with pytest.raises(LocalProtocolError, match=r"is not a (Mailbox|Domain)"):
        Path.of(*parts)


# Sizes (4.5.3).

LIMITS: Final = Limits()
ROOMY: Final = Limits(user=128, domain=255, path=512)


def long_domain(size: int) -> str:
    """A domain of this size, from labels of 31 characters and a last one."""
    whole, rest = divmod(size - 1, 32)
    return ".".join(["d" * 31] * whole + ["d" * (rest + 1)])


def long_path(size: int) -> str:
    """A path of this size, without its brackets, none of whose parts is over 64."""
    hosts = ["@" + "h" * 40] * ((size - 3) // 42)
    text = f"{','.join(hosts)}:u@"
    return f"<{text}{long_domain(size - len(text))}>"


@pytest.mark.clause("4.5.3-05")
@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        (63, LIMITS, None),
        (64, LIMITS, None),
        (65, LIMITS, "Domain too long"),
        (500, LIMITS, "Domain too long"),
        (65, ROOMY, None),
        (129, ROOMY, None),
        (255, ROOMY, None),
        (256, ROOMY, "Domain too long"),
    ],
)
def test_domain_size(size: int, limits: Limits, expected: str | None) -> None:
    """4.5.3: a domain has at most 64 characters, wherever it stands."""
    text = long_domain(size)
    assert len(text) == size
    assert excess(Domain(text), limits) == expected
    if size + len("@h:u@") <= limits.path:
        assert excess(Path(f"<u@{text}>"), limits) == expected
        assert excess(Path(f"<@{text}:u@h>"), limits) == expected
        assert excess(Path(f"<@h,@{text},@h:u@h>"), limits) == expected


@pytest.mark.clause("4.5.3-03", "AMB-42")
@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        (63, LIMITS, None),
        (64, LIMITS, None),
        (65, LIMITS, "User name too long"),
        (65, ROOMY, None),
        (128, ROOMY, None),
        (129, ROOMY, "User name too long"),
    ],
)
@pytest.mark.parametrize(
    "local_part", ["u" * 130, f'"{"u" * 130}"', "\\@" * 70, "a." * 70, '"' + '\\"' * 70 + '"']
)
def test_user_size(local_part: str, size: int, limits: Limits, expected: str | None) -> None:
    """4.5.3, AMB-42: a user has at most 64 characters, quotes and backslashes counted."""
    if local_part.startswith('"'):
        text = local_part[: size - 1 - size % 2] + "x" * (size % 2) + '"'
    else:
        text = local_part[: size - 1 - (size - 1) % 2] + "x" * (1 + (size - 1) % 2)
    assert len(text) == size
    assert excess(Path(f"<{text}@h>"), limits) == expected
    assert excess(Path(f"<@h:{text}@h>"), limits) == expected


@pytest.mark.clause("4.5.3-07", "AMB-41")
@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        (254, LIMITS, None),
        (255, LIMITS, None),
        (256, LIMITS, None),
        (257, LIMITS, "Path too long"),
        (400, LIMITS, "Path too long"),
        (257, ROOMY, None),
        (512, ROOMY, None),
        (513, ROOMY, "Path too long"),
    ],
)
def test_path_size(size: int, limits: Limits, expected: str | None) -> None:
    """4.5.3, AMB-41: a path has at most 256 characters, the brackets not counted."""
    path = Path(long_path(size))
    assert len(path.text) == size + 2
    assert excess(path, limits) == expected


def test_parts_are_not_added_up() -> None:
    """4.5.3: a long path of short parts is within the sizes, and so are those without parts."""
    assert excess(Path(f"<@{'h' * 63}:{'u' * 64}@{'d' * 63}>"), LIMITS) is None
    assert excess(NULL_PATH, LIMITS) is None
    assert excess(POSTMASTER, LIMITS) is None


@pytest.mark.parametrize("size", [254, 255, 256, 257, 258, 259])
def test_brackets_count_in_what_is_sent(size: int) -> None:
    """4.5.3, AMB-41: of 256 characters a sender counts the brackets in, a receiver does not."""
    path = Path(long_path(size - 2))
    assert len(path.text) == size
    assert excess(path, LIMITS) == ("Path too long" if size > 258 else None)
    assert excess(path, LIMITS, sent=True) == ("Path too long" if size > 256 else None)


def test_size_of_a_domain_of_any_text() -> None:
    """4.5.3: what only a lenient reader makes, a domain of any text, is measured too."""
    assert excess(trusted(Domain, "text", "_" * 64), LIMITS) is None
    assert excess(trusted(Domain, "text", "_" * 65), LIMITS) == "Domain too long"


# Properties.

NAMES: Final = st.from_regex(r"[A-Za-z]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?", fullmatch=True)
ELEMENTS: Final = st.one_of(
    NAMES,
    st.integers(0, 10**12).map("#{}".format),
    st.tuples(*[st.integers(0, 255)] * 4).map("[{0[0]}.{0[1]}.{0[2]}.{0[3]}]".format),
)
HOSTS: Final = st.lists(ELEMENTS, min_size=1, max_size=4).map(".".join)
SPECIAL: Final = '<>()[]\\.,;:@" '
USERS: Final = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


def escaped(user: str) -> str:
    """A user as a dot-string, each special character behind a backslash."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in user)


def quoted(user: str) -> str:
    """A user as a quoted-string."""
    return '"' + "".join(f"\\{c}" if c in '"\\' else c for c in user) + '"'


@given(USERS, HOSTS, st.lists(HOSTS, max_size=4))
def test_any_path(user: str, host: str, route: list[str]) -> None:
    """4.1.2: however a user is written, the parts of the path are those it was made of."""
    for local_part in (escaped(user), quoted(user)):
        path = Path.of(f"{local_part}@{host}", *route)
        assert Path(str(path)).text == path.text
        assert [domain.text for domain in path.route] == route
        assert path.mailbox is not None
        assert path.mailbox.local_part == local_part
        assert path.mailbox.user == user
        assert path.mailbox.domain.text == host


@pytest.mark.parametrize(("other", "same"), [('<@H:"X:y"@h>', True), ('<@h:"x:y"@h>', False)])
def test_a_colon_in_a_user_ends_no_route(other: str, same: bool) -> None:
    """4.1.2: the route ends at the first colon, and the case of what is behind it counts."""
    assert (Path('<@h:"X:y"@h>') == Path(other)) is same


@pytest.mark.clause("2-08")
@given(HOSTS, USERS, HOSTS)
def test_domains_have_no_case(relay: str, user: str, host: str) -> None:
    """2: a path is the same whatever case its domains have."""
    path = Path.of(f"{quoted(user)}@{host}", relay)
    for one, other in itertools.product((relay.lower(), relay.upper()), (host.lower(), host)):
        same = Path.of(f"{quoted(user)}@{other}", one)
        assert same == path
        assert hash(same) == hash(path)


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is a value that keeps it, or a LocalProtocolError; never something else."""
    for kind in (Domain, Mailbox, Path):
        try:
            assert str(kind(text)) == text
        except LocalProtocolError:
            continue
