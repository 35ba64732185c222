"""Which tests show which clause of RFC 821: the markers of the tests, read and not run.

A test that carries `@pytest.mark.clause("3.1-02")` would fail if that clause did not hold.
tests/data/clauses.json has all the clauses, each a statement in words of our own, and the reason
where no test can show one. What the RFC leaves open, and how it is read here (AMB), stands in
docs/rfc821-notes.md; that is shown in the same way.
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

HERE: Final = Path(__file__).parent
_DATA: Final[Mapping[str, Any]] = json.loads((HERE / "data" / "clauses.json").read_text("utf-8"))
_NOTES: Final = (HERE.parent / "docs" / "rfc821-notes.md").read_text("utf-8")


@attrs.frozen
class Clause:
    """A statement of the RFC, or what it leaves open."""

    id: str
    section: str
    level: str
    role: str
    statement: str
    reason: str | None = None
    """Why no test can show it; None where tests do."""


CLAUSES: Final = [Clause(**fields) for fields in _DATA["clauses"]]
CHOICES: Final = [
    Clause(id_, "Choices", "choice", "both", left_open, _DATA["choices"].get(id_))
    for id_, left_open in sorted(re.findall(r"(?m)^\| (AMB-\d\d) \| (.+?) \|", _NOTES))
]


def markers(module: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Each marker that sits on a test of a module, with the name of the test."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:4] == "test":
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _names_the_marker(decorator.func):
                    yield node.name, decorator


def ids(marker: ast.Call) -> list[str]:
    """The ids in a marker; ValueError where they are not written out."""
    return [ast.literal_eval(argument) for argument in marker.args]


def strays(module: ast.Module) -> int:
    """How many markers of a module sit on no test."""
    return sum(map(_names_the_marker, ast.walk(module))) - len(list(markers(module)))


def _names_the_marker(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.clause"


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the tests, by its path within tests/."""
    for file in sorted(HERE.rglob("*.py")):
        yield file.relative_to(HERE).as_posix(), ast.parse(file.read_text("utf-8"))


def shown() -> dict[str, list[tuple[str, str]]]:
    """For each id the tests that show it, as their file within tests/ and their name."""
    tests = defaultdict(list)
    for file, module in modules():
        for name, marker in markers(module):
            for id_ in ids(marker):
                tests[id_].append((file, name))
    return dict(tests)
