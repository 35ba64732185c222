"""The documentation is current: what is generated, what it names, and what it tells to run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def test_tables_page_is_current() -> None:
    """docs/tables.md is what docs/generate.py makes of the tables today."""
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert (ROOT / "docs" / "tables.md").read_text(encoding="utf-8") == generate["page"]()


def test_conformance_page_is_current() -> None:
    """docs/conformance.md is what docs/generate.py makes of the clauses and markers today."""
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert page == generate["conformance"]()


def test_calls_are_current() -> None:
    """docs/calls.md is what is counted: a call more on the way of every command is seen."""
    calls = runpy.run_path(str(ROOT / "docs" / "calls.py"))
    assert (ROOT / "docs" / "calls.md").read_text(encoding="utf-8") == calls["page"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page leads to a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_notes_cover_every_ambiguity() -> None:
    """docs/rfc821-notes.md has a row for each of AMB-01 to AMB-60, and the code cites no other."""
    notes = (ROOT / "docs" / "rfc821-notes.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| (AMB-\d\d) \|", notes, re.MULTILINE))
    assert rows == {f"AMB-{number:02}" for number in range(1, 61)}
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "smtp821").rglob("*.py"))
    assert set(re.findall(r"AMB-\d\d", sources)) <= rows


def test_examples_in_the_readme_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The Python blocks of README.md run, in order, and print what the README says."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    printed = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    blocks = [block for block in blocks if "def test_" not in block]
    assert len(blocks) == 4
    assert "import asyncio\n" in blocks[-1]
    with_trio = blocks[-1].replace("asyncio.run(main())", "trio.run(main)")
    namespace: dict[str, object] = {}
    for block in [*blocks, with_trio.replace("asyncio", "trio")]:
        exec(compile(block, "README.md", "exec"), namespace)
    output = capsys.readouterr().out
    assert output.startswith(printed[0])
    assert output.endswith("accepted\naccepted\n")


WELCOME = """
import smtplib

def welcome(user, host, port):
    with smtplib.SMTP(host, port) as client:
        client.sendmail("me@here.example", [user], "Subject: Welcome\\n\\nHello.\\n")

"""


def test_the_test_in_the_readme_passes(pytester: pytest.Pytester) -> None:
    """The three lines of "In your tests" are a test, for code that sends mail."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(def test_.*?)```", readme, re.DOTALL)
    pytester.makepyfile(WELCOME + "".join(blocks))
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


# But for the section on the model, whose examples are to fail: tests/test_testing_machine.py.
KIT = [
    section
    for section in (ROOT / "docs" / "testing-kit.md").read_text("utf-8").split("\n## ")[1:]
    if not section.startswith("A server, held against a model")
]


@pytest.mark.parametrize("section", KIT, ids=lambda section: section.partition("\n")[0])
def test_examples_of_the_testing_kit_pass(section: str, pytester: pytest.Pytester) -> None:
    """The Python blocks of a section are a module of tests, or at least of code, that runs."""
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    pytester.makepyfile(WELCOME + "\n".join(blocks))
    result = pytester.runpytest_inprocess("-W", "error")
    tests = sum(block.count("def test_") for block in blocks)
    result.assert_outcomes(passed=tests)


@pytest.mark.parametrize(
    "section",
    [section for section in KIT if "```text" in section],
    ids=lambda section: section.partition("\n")[0],
)
def test_examples_of_the_testing_kit_print(
    section: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They, and the tests that they define, print what the page says."""
    namespace: dict[str, object] = {"__name__": "testing_kit"}
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(block, "testing-kit.md", "exec"), namespace)
    for name, test in namespace.items():
        if name.startswith("test_") and callable(test):
            test()
    printed = "".join(re.findall(r"```text\n(.*?)```", section, re.DOTALL))
    assert capsys.readouterr().out == printed
