"""The rooms of the package: who may import whom, and that the core touches nothing outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = "smtp821"

# Lower rooms never import upper ones. A room is a module of the package, or a folder of modules;
# "" is the public namespace, smtp821 itself.
LAYERS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"protocol"}),
    frozenset({"mail"}),
    frozenset({"", "handler", "conversation", "service", "delivery", "exchange", "transcript"})
    | {"host", "timeouts", "wire", "server", "client"},
    frozenset({"sockets", "asyncio", "trio", "local_host", "local_handler", "maildir", "terminal"}),
    frozenset({"cli", "__main__", "testing"}),
)

# What the rooms without I/O may import: nothing with sockets, clocks, threads, files, logs or
# randomness.
_PLAIN: Final = {"__future__", "attrs", "collections.abc", "enum", "functools", "re", "typing"}
PURE: Final = {
    "protocol": {*_PLAIN, "smtp821.protocol"},
    "mail": {*_PLAIN, "datetime", "smtp821.protocol", "smtp821.mail"},
}
EFFECTS: Final = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}

FILES: Final = sorted((ROOT / PACKAGE).rglob("*.py"))


def module_name(file: Path) -> str:
    """The dotted name of the module in a file."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """The room of a module of this package."""
    return [*module.split("."), ""][1]


MODULES: Final = {module_name(file): file for file in FILES}
PURE_MODULES: Final = [name for name in MODULES if room(name) in PURE]


def tree(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[module].read_text("utf-8"))


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports anywhere in it, also where only a type checker looks."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            steps = package.split(".")
            base = steps[: len(steps) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield whole if whole in MODULES else source


def level(module: str) -> int:
    """The layer of a module's room, counted from below."""
    (number,) = (number for number, rooms in enumerate(LAYERS) if room(module) in rooms)
    return number


def inside(module: str, package: str) -> bool:
    """Whether a module is a package or in it."""
    return module == package or module.startswith(f"{package}.")


def test_every_room_has_one_layer() -> None:
    """A new module is given its place in the table above before it is used."""
    rooms = [name for layer in LAYERS for name in layer]
    assert len(rooms) == len(set(rooms))
    assert {room(module) for module in MODULES} <= set(rooms)
    assert "smtp821.protocol.receiver" in PURE_MODULES


@pytest.mark.parametrize("module", MODULES)
def test_lower_rooms_never_import_upper_ones(module: str) -> None:
    """Each import within the package goes down, or stays on its level."""
    for imported in imports(module):
        if inside(imported, PACKAGE):
            assert level(imported) <= level(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", PURE_MODULES)
def test_the_core_imports_nothing_that_touches_the_world(module: str) -> None:
    """1: SMTP is independent of its transmission channel; so is what speaks it."""
    for imported in imports(module):
        allowed = any(inside(imported, name) for name in PURE[room(module)])
        assert allowed, f"{module} imports {imported}"


@pytest.mark.parametrize("module", PURE_MODULES)
def test_the_core_calls_nothing_that_touches_the_world(module: str) -> None:
    """No file is opened, nothing is printed or asked for, no text is run."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in EFFECTS, f"{module}:{node.lineno}"


def test_imports_are_seen_in_all_their_forms() -> None:
    """The reader of imports knows relative ones, those of packages, and those in functions."""
    assert "smtp821.protocol.lines" in set(imports("smtp821.protocol.channel"))
    assert "smtp821.protocol.receiver" in set(imports("smtp821.protocol.sender"))
    assert "collections.abc" in set(imports("smtp821.protocol.receiver"))
    assert "smtp821.protocol.commands" in set(imports("smtp821"))


def loaded_by(module: str) -> set[str]:
    """Every module that a fresh interpreter has loaded once it has imported one."""
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_the_public_namespace_loads_no_adapter() -> None:
    """`import smtp821` loads the protocol and what is above it without I/O, and nothing more."""
    loaded = loaded_by(PACKAGE)
    foreign = {"argparse", "asyncio", "email", "logging", "selectors", "socket", "ssl", "trio"}
    assert not loaded & foreign
    rooms = {room(module) for module in loaded if inside(module, PACKAGE)}
    assert rooms <= LAYERS[0] | LAYERS[1] | LAYERS[2]


def test_the_public_namespace_loads_little() -> None:
    """Beside attrs, importing it loads the modules of the package that it needs, and no others."""
    more = loaded_by(PACKAGE) - loaded_by("attrs")
    assert {module for module in more if not inside(module, PACKAGE)} == set()
    above = {"delivery", "handler", "protocol", "timeouts"}
    assert {room(module) for module in more} == {"", *above}
