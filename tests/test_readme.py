"""A README that lies fails the build."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_every_module():
    listed = set(re.findall(r"^ +((?:training|dashboard)/\S+\.py)\b", README, re.MULTILINE))
    on_disk = {
        path.relative_to(ROOT).as_posix()
        for top in ("training", "dashboard")
        for path in (ROOT / top).rglob("[!_]*.py")
    }
    assert listed == on_disk


def test_every_file_that_the_readme_links_exists():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)|src=\"(?!https?:)([^\"]+)\"", README)
    assert [link for pair in links for link in pair if link and not (ROOT / link).exists()] == []


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b(?! again)", README)) <= targets


def test_every_requirement_has_a_pin_and_a_reason():
    for name in ("requirements.txt", "requirements-test.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                assert re.fullmatch(r"[A-Za-z0-9._-]+==[^\s#]+\s+# \S.{10,}", line), line


def test_ci_runs_the_test_command_of_the_readme_and_nothing_else():
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]
    assert "make test" in README
