"""The lab has the packages that an arm64 machine would install, all of them without a compiler."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from guestdbg.lab.fetch import wheels

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
ARM64 = {"sys_platform": "linux", "platform_machine": "aarch64"}


@pytest.mark.parametrize("python", ["3.11", "3.13", "3.14"])
def test_the_same_as_on_an_arm64_machine(python: str) -> None:
    machine = {**ARM64, "python_version": python}
    all_of_them = [
        Requirement(r) for r in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    ]
    there = [r for r in all_of_them if not r.marker or r.marker.evaluate(machine)]
    carried = [Requirement(r) for r in wheels.requirements(python)]
    assert {(r.name, str(r.specifier)) for r in carried} == {
        (r.name, str(r.specifier)) for r in there
    }


def test_they_are_in_the_cache(lab_root: Path) -> None:
    # The newest: a cache that is kept has those of other requirements as well.
    directory = max(lab_root.glob("wheels-3.11-*"), key=lambda path: path.stat().st_mtime)
    names = {path.name.partition("-")[0] for path in directory.glob("*.whl")}
    needed = {Requirement(r).name.replace("-", "_") for r in wheels.requirements("3.11")}
    assert needed <= names
