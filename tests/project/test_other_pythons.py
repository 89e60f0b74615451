"""tools/test-python and tools/fetch_python.py, without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import fetch_python

from .test_house_rules import ROOT

SCRIPT = ROOT / "tools" / "test-python"

# What packages of Debian depend on, with others that an interpreter does not load.
DEPENDS = {
    "python3.14-minimal": ["libpython3.14-minimal", "libexpat1", "zlib1g", "libc6"],
    "libpython3.14-minimal": ["libc6", "libssl3t64"],
    "libpython3.14-stdlib": ["libpython3.14-minimal", "media-types", "tzdata", "libsqlite3-0"],
    "libssl3t64": ["libc6", "libzstd1", "openssl-provider-legacy"],
    "libc6": ["libgcc-s1"],
    "libgcc-s1": ["gcc-16-base", "libc6"],
}


@pytest.mark.parametrize("words", [[], ["3"], ["2.7"], ["3.10"], ["3.14", "python3.13"], ["--all"]])
def test_versions_that_it_does_not_run(words: list[str]) -> None:
    result = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: tools/test-python [--all] VERSION...")


def test_it_names_tests_that_exist() -> None:
    """`make test` does not run it: a renamed file would go unnoticed."""
    named = re.findall(r"tests/[\w/.]+", SCRIPT.read_text())
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_versions_that_it_runs_are_those_that_the_project_names() -> None:
    """The Makefile's, and the classifiers of pyproject.toml."""
    match = re.search(r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert match is not None
    classifiers = re.findall(
        r"Programming Language :: Python :: ([\d.]+)", (ROOT / "pyproject.toml").read_text()
    )
    assert match[1].split() == classifiers


def test_a_version_that_is_none() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "fetch_python.py", "3.14; true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: fetch_python.py VERSION")


def test_the_packages_are_the_interpreter_and_all_libraries_that_it_loads() -> None:
    names = fetch_python.package_names("3.14", lambda name: DEPENDS.get(name, []))
    assert len(names) == len(set(names))
    assert set(names) == {
        *("python3.14-minimal", "libpython3.14-minimal", "libpython3.14-stdlib"),
        *("libpython3.14-dev", "libexpat1", "zlib1g", "libc6", "libssl3t64", "libzstd1"),
        *("libgcc-s1", "libsqlite3-0"),
    }


def test_it_is_started_by_its_loader_under_the_name_that_was_used(tmp_path: Path) -> None:
    """A virtual environment's python is a link to it, and scripts name that after ``#!``."""
    directory = tmp_path / "a directory"
    directory.mkdir()
    loader = directory / "loader"
    loader.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program = directory / "python3.14"
    program.write_text(
        fetch_python.starter([str(loader), "--library-path", "x y"], directory / "elf")
    )
    link = tmp_path / "python"
    link.symlink_to(program)
    script = tmp_path / "script"
    script.write_text(f"#!{link}\n")
    for path in (loader, program, script):
        path.chmod(0o755)

    def printed(*command: object) -> list[str]:
        words = [str(word) for word in command]
        result = subprocess.run(words, capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    start = ["--library-path", "x y", "--argv0", str(link), str(directory / "elf")]
    assert printed(link, "-c", "one 'argument'") == [*start, "-c", "one 'argument'"]
    assert printed(script, "word") == [*start, str(script), "word"]
