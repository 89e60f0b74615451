"""The cases of ``real/`` on a real arm64 KVM: this machine's, or the lab's."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.kvm.host import unusable
from guestdbg.lab import Lab

from .real import __main__ as real
from .real.rig import CASES

ROOT = Path(__file__).parents[3]
MODULE = "tests.kvm.host.real"
ON_ARM64 = platform.machine() in ("aarch64", "arm64")

Outcomes = dict[str, str | None]


def carried() -> dict[str, bytes | Path]:
    """The files that the cases need in the lab: these tests, and what they import."""
    found = [*(ROOT / "tests/kvm").rglob("*.py"), ROOT / "tests/__init__.py"]
    return {path.relative_to(ROOT).as_posix(): path for path in found if path.is_file()}


def outcomes(output: str) -> Outcomes:
    """The result of each case, from their output."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    return dict(lines)


def run(lab: Lab, *names: str) -> Outcomes:
    """The cases (all, or those named) in a lab."""
    result = lab.run(["python3", "-m", MODULE, *names], files=carried(), timeout=240)
    found = outcomes(result.stdout.decode())
    assert len(found) == len(names or CASES), (result.status, result.stderr.decode()[-3000:])
    return found


@pytest.fixture(scope="module")
def seen() -> Iterator[Outcomes]:
    if ON_ARM64:
        if unusable() is not None:
            pytest.skip(f"an arm64 machine whose KVM cannot be used: {unusable()}")
        words = [sys.executable, "-m", MODULE]
        result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        yield outcomes(result.stdout)
        return
    with Lab() as lab:
        yield run(lab)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_on_a_real_kvm(name: str, seen: Outcomes) -> None:
    assert name in seen, f"the cases ended before this one: {list(seen)}"
    assert seen[name] is None, seen[name]


@pytest.mark.slow
@pytest.mark.skipif(ON_ARM64, reason="which interrupt controller there is, is the machine's choice")
def test_with_a_gicv2_and_vhe() -> None:
    """The other kinds of a real KVM, in one boot."""
    names = [name for name in CASES if name.startswith(("gic", "timer"))]
    assert len(names) == 4
    names += ["memory_used_again_has_its_own_code", "stops_and_steps", "a_guest_is_served_to_gdb"]
    names += ["no_kick_is_lost_wherever_it_comes", "the_register_list_migrates_a_vcpu"]
    with Lab(cpu="vhe", gic=2) as lab:
        found = run(lab, *names)
    assert found == dict.fromkeys(names)


def test_every_case_is_registered() -> None:
    assert len(CASES) > 40
    assert real.LIMIT < 240
