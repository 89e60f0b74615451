"""The lab has the packages that an arm64 machine would install, all of them without a compiler."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from guestdbg.lab.fetch import wheels

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
ARM64 = {"sys_platform": "linux", "platform_machine": "aarch64"}


def test_the_same_as_on_an_arm64_machine(lab_root: Path) -> None:
    wanted = [
        Requirement(r) for r in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    ]
    there = {(r.name, str(r.specifier)) for r in wanted if not r.marker or r.marker.evaluate(ARM64)}
    carried = [Requirement(r) for r in wheels.REQUIREMENTS]
    assert {(r.name, str(r.specifier)) for r in carried} == there
    # The newest: a cache that is kept has those of other requirements as well.
    directory = max(lab_root.glob("wheels-3.11-*"), key=lambda path: path.stat().st_mtime)
    names = {path.name.partition("-")[0] for path in directory.glob("*.whl")}
    assert {name.replace("-", "_") for name, _ in there} <= names
