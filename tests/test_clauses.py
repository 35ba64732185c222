"""Every clause of RFC 821 is shown by a test, or there is a reason why none can show it.

The one clause that belongs to no module has its test here too.
"""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, Final

import pytest

import smtp821.asyncio
import smtp821.sockets
import smtp821.trio

from .clauses import CHOICES, CLAUSES, Clause, ids, markers, modules, shown, strays

EVERYTHING: Final = [*CLAUSES, *CHOICES]
SHOWN: Final = shown()


# The data.


def test_all_the_clauses_are_here() -> None:
    """269 statements and 60 choices, each with an id of its own."""
    assert (len(CLAUSES), len(CHOICES)) == (269, 60)
    assert len({clause.id for clause in EVERYTHING}) == 329


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.id)
def test_each_clause_is_whole(clause: Clause) -> None:
    """An id by its section and number, a level and a role that there are, and a statement."""
    assert re.fullmatch(r"(\d(\.\d){0,2}|4\.1\.1\.[A-Z]{4,5}|[A-G])-\d\d", clause.id)
    assert clause.level in ("must", "should", "may", "note")
    assert clause.role in ("both", "receiver", "sender")
    assert clause.statement
    assert clause.section.removeprefix("Appendix ")[0] in (clause.id[0], "A", "G")


def test_reasons_are_few_and_say_something() -> None:
    """A reason is a sentence; where one is given, no test is."""
    reasons = {clause.id: clause.reason for clause in EVERYTHING if clause.reason is not None}
    assert all(len(reason.split()) > 5 and reason.endswith(".") for reason in reasons.values())
    assert not reasons.keys() & SHOWN.keys()
    assert len(reasons) < 10


# The markers.


def test_every_clause_is_shown() -> None:
    """By a test that carries its id; or it has its reason."""
    assert [c.id for c in EVERYTHING if c.id not in SHOWN and c.reason is None] == []


def test_every_id_is_known() -> None:
    """No test carries the id of a clause that there is not."""
    assert SHOWN.keys() - {clause.id for clause in EVERYTHING} == set()


@pytest.mark.parametrize(("file", "module"), [pytest.param(*m, id=m[0]) for m in modules()])
def test_every_marker_sits_on_a_test(file: str, module: ast.Module) -> None:
    """And has ids, each of them once; a module that pytest does not collect has no markers."""
    assert strays(module) == 0
    for name, marker in markers(module):
        assert re.fullmatch(r"(.*/)?test_\w+\.py", file), name
        assert 0 < len(ids(marker)) == len(set(ids(marker))), name
        assert not marker.keywords, name


ON_A_TEST: Final = '@pytest.mark.clause("1-01", "1-02")\ndef test_one(): pass\n'
STRAY: Final = {
    "on a helper": '@pytest.mark.clause("1-01")\ndef helper(): pass\n',
    "on a module": 'pytestmark = pytest.mark.clause("1-01")\n',
    "on a class": '@pytest.mark.clause("1-01")\nclass TestIt: pass\n',
    "in a function": 'def f():\n    @pytest.mark.clause("1-01")\n    def test_it(): pass\n',
    "by another name": 'it = pytest.mark.clause("1-01")\n@it\ndef test_it(): pass\n',
    "on a parameter": 'pytest.param(1, marks=pytest.mark.clause("1-01"))\n',
    "without its ids": "@pytest.mark.clause\ndef test_it(): pass\n",
}


@pytest.mark.parametrize("where", STRAY)
def test_markers_are_found_wherever_they_are(where: str) -> None:
    """The reader of markers counts one that sits on no test, and takes none for its ids."""
    module = ast.parse(ON_A_TEST + STRAY[where])
    assert [(name, ids(marker)) for name, marker in markers(module)] == [
        ("test_one", ["1-01", "1-02"])
    ]
    assert strays(module) == 1
    assert strays(ast.parse(ON_A_TEST)) == 0


def test_ids_are_written_out() -> None:
    """A marker whose ids would have to be run to be read is an error."""
    ((_, marker),) = markers(ast.parse("@pytest.mark.clause(SOME)\ndef test_it(): pass\n"))
    with pytest.raises(ValueError, match="malformed"):
        ids(marker)


# Appendix A.


@pytest.mark.clause("A-01")
@pytest.mark.parametrize(
    "client", [smtp821.asyncio.Client, smtp821.sockets.Client, smtp821.trio.Client]
)
def test_the_service_port(client: Any) -> None:
    """Appendix A: a client that is told no port connects to 25."""
    assert inspect.signature(client).parameters["port"].default == 25
