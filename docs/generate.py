"""Draw the pages that are made of data: `python docs/generate.py` writes them anew.

Everything in docs/tables.md comes from the tables that the code runs on, and everything in
docs/conformance.md from the clauses of the RFC and the markers of the tests (tests/clauses.py); a
test holds the committed pages against what this makes.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from smtp821 import (
    ADDITIONS,
    ORDER,
    RFC821,
    RFC821_LENIENT,
    SEQUENCING,
    STANDARD_TEXTS,
    TRANSITIONS,
    Code,
    Limits,
    Outcome,
    Severity,
    State,
    Timeouts,
    Verb,
    outcome,
)
from smtp821.protocol.replies import Category

HERE = Path(__file__).parent

_PAGE = """\
# The protocol as tables

Made from the tables in `smtp821/protocol/` by `python docs/generate.py`; not to be edited.

## States

Both roles obey this one diagram: a receiver moves when it gives a reply, a sender when it gets
it. The letter behind a command is the class of its reply: I intermediate, S success, F failure.
What is not drawn stays where it is (4.1.1). 421 may answer anything, and leads to CLOSED from
everywhere.

{states}

Which commands are legal in a state; any other is answered 503 (4.1.1 p27):

{order}

## What a sender makes of a reply (4.4)

By its first digit alone, for every command but DATA:

{simple}

For DATA, and the mail data behind it:

{data}

## The reply codes of each command (4.3)

E: error. The last column has what the text of the RFC demands and its table leaves out; why,
stands below.

{sequencing}

{additions}

## The codes (4.2, Appendix E)

{codes}

## Sizes (4.5.3)

{limits}

## Times (RFC 1123, 5.3.2)

RFC 821 names none. In seconds, each of them configurable; a reply has to be complete in its time,
however its bytes come.

{times}
"""


def page() -> str:
    """The whole page, in Markdown."""
    return _PAGE.format(
        states=_diagram(_moves()),
        order=_table(("state", "commands"), _order()),
        simple=_diagram(_waits(Verb.MAIL, "W", {"S": "[*]", "F": "[*]", "E": "[*]"})),
        data=_diagram(_data_waits()),
        sequencing=_table(("command", "I", "S", "F", "E", "added"), _sequencing()),
        additions="\n".join(
            f"- {verb} {code}: {why}"
            for verb, row in ADDITIONS.items()
            for code, why in row.items()
        ),
        codes=_table(("code", "name", "severity", "category", "standard text"), _codes()),
        limits=_table(("limit", "RFC821", "lenient", "counts", "source", "beyond it"), _limits()),
        times=_table(("time", "seconds", "waits for", "source"), _times()),
    )


def _diagram(lines: Iterable[str]) -> str:
    return "\n".join(("```mermaid", "stateDiagram-v2", *(f"    {line}" for line in lines), "```"))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _moves() -> Iterator[str]:
    """The edges of TRANSITIONS, those between the same two states in one arrow."""
    states = list(State)
    edges = sorted(
        (states.index(before), states.index(after), list(Verb).index(verb), f"{verb} {result}")
        for (before, verb, result), after in TRANSITIONS.items()
        if result is not Outcome.CLOSING
    )
    yield f"[*] --> {State.OPENING}"
    for (before, after), group in groupby(edges, key=lambda edge: edge[:2]):
        yield f"{states[before]} --> {states[after]}: {', '.join(label for *_, label in group)}"
    yield f"{State.TURNED} --> [*]"
    yield f"{State.CLOSED} --> [*]"


def _waits(verb: Verb, wait: str, ends: dict[str, str]) -> Iterator[str]:
    """What the first digits of the reply to a command lead to."""
    yield f"[*] --> {wait}: {'command' if verb is Verb.MAIL else verb}"
    for result in (Outcome.SUCCESS, Outcome.INTERMEDIATE, Outcome.FAILURE, Outcome.ERROR):
        digits = [d for d in (2, 3, 4, 5) if outcome(verb, d * 100 + 99) is result]
        if digits:
            yield f"{wait} --> {result}: {', '.join(f'{digit}yz' for digit in digits)}"
    for letter, end in ends.items():
        yield f"{letter} --> {end}"


def _data_waits() -> Iterator[str]:
    yield from _waits(Verb.DATA, "W1", {})
    rest = _waits(Verb.END_OF_DATA, "W2", {"S": "[*]", "F": "[*]", "E": "[*]"})
    next(rest)
    yield "I --> W2: mail data, and its end"
    yield from rest


def _order() -> Iterator[tuple[str, str]]:
    for state in State:
        yield state, ", ".join(verb for verb in Verb if verb in ORDER[state])


def _numbers(codes: Iterable[int]) -> str:
    return " ".join(map(str, codes))


def _sequencing() -> Iterator[tuple[str, ...]]:
    classes = (Outcome.INTERMEDIATE, Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR)
    for verb, row in SEQUENCING.items():
        cells = (_numbers(row.get(class_, ())) for class_ in classes)
        yield verb, *cells, _numbers(ADDITIONS.get(verb, ()))


def _codes() -> Iterator[tuple[str, ...]]:
    for code in Code:
        severity = Severity(code // 100).name.lower()
        category = Category(code // 10 % 10).name.lower().replace("_", " ")
        text = STANDARD_TEXTS[code].replace("<", "\\<")
        yield str(int(code)), code.name, severity, category, text


def _limits() -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(Limits):
        numbers = (getattr(dialect.limits, field.name) for dialect in (RFC821, RFC821_LENIENT))
        about = field.metadata
        yield (
            field.name,
            *("none" if number is None else str(number) for number in numbers),
            about["counts"],
            about["source"],
            str(about["reply"] or ""),
        )


def _times() -> Iterator[tuple[str, ...]]:
    for field in attrs.fields(Timeouts):
        about = field.metadata
        yield field.name, f"{field.default:g}", about["waits for"], about["source"]


_CONFORMANCE = """\
# RFC 821, clause by clause

Made from `tests/data/clauses.json` and the markers of the tests by `python docs/generate.py`; not
to be edited.

RFC 821 as {count} statements, in words of our own. How much each binds is taken from the wording
of the RFC: must, should, may; a note is a remark. Beside it stand the tests that fail if it does
not hold. {shown} are shown by tests; for the other {others} the reason why no test can show them
stands there instead.

{clauses}
## What RFC 821 leaves open

How each is read here is in [rfc821-notes.md](rfc821-notes.md); these tests show that it is.

{choices}
"""


def conformance() -> str:
    """The page of the clauses, in Markdown."""
    tests = runpy.run_path(str(HERE.parent / "tests" / "clauses.py"))
    shown, clauses = tests["shown"](), tests["CLAUSES"]
    others = sum(clause.reason is not None for clause in clauses)
    return _CONFORMANCE.format(
        count=len(clauses),
        shown=len(clauses) - others,
        others=others,
        clauses="\n".join(_sections(clauses, shown)),
        choices=_table(
            ("id", "open or contradictory", "shown by"),
            ((c.id, c.statement, _how(c, shown)) for c in tests["CHOICES"]),
        ),
    )


Shown = Mapping[str, Sequence[tuple[str, str]]]


def _sections(clauses: Iterable[Any], shown: Shown) -> Iterator[str]:
    """A table for each section of the RFC."""
    for section, group in groupby(clauses, key=lambda clause: clause.section):
        rows = (
            (c.id, c.role, c.level, c.statement.replace("<", "\\<"), _how(c, shown)) for c in group
        )
        yield f"## {section}\n"
        yield _table(("clause", "role", "level", "statement", "shown by"), rows) + "\n"


def _how(clause: Any, shown: Shown) -> str:
    """The tests that show a clause, or the reason why there are none."""
    links = (f"[{name}](../tests/{file})" for file, name in shown.get(clause.id, ()))
    return clause.reason or "<br>".join(links)


if __name__ == "__main__":
    (HERE / "tables.md").write_text(page(), encoding="utf-8")
    (HERE / "conformance.md").write_text(conformance(), encoding="utf-8")
