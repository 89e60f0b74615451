"""The processor on aarch64, under QEMU's user emulation: a part of its tests, on both tiers.

There the build cuts other stencils, and translation.pyx writes other machine code. Compilers also
treat other things as undefined or as the host's own there, in the interpreter too. On an aarch64
machine the tests themselves are all of this.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import aarch64

# A build from nothing takes some minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def on_aarch64(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What Python does there. No test that is named here may be skipped there."""
    try:
        return aarch64.run(arguments, {"GUESTDBG_NO_SKIPS": "1", **variables})
    except aarch64.Missing as why:
        pytest.skip(str(why))


#: Of test_stencils.py: QEMU limits no memory, the filter of system calls is one of x86-64, and the
#: command line needs packages that are not there.
NOT_THERE = "not forbids and not too_little and not without_stencils"
#: By `make test`, in each tier, without some that take long there.
PARTS = {
    "stencils": (
        *("tests/cpu/test_stencils.py", "tests/cpu/test_code_written.py"),
        *("-k", f"{NOT_THERE} and not call_nothing and not lost_translations"),
    ),
    "interpreter": (
        *("tests/cpu/test_core.py", "tests/cpu/test_mem_exclusive.py", "tests/cpu/test_timer.py"),
        *("tests/cpu/test_fp_arithmetic.py", "-k", "not bounded"),
    ),
}
#: By `make soak`, in both: what needs no reference but Python.
LARGE = [
    f"tests/cpu/test_{name}.py"
    for name in (
        *("core", "determinism", "tlb_lines", "code_written", "address_prediction"),
        *("fused_compare_branch", "coverage", "dirty_pages", "snapshots", "debug_breakpoints"),
        *("debug_step", "mem_exclusive", "mem_atomic", "mem_zva", "timer", "system_exceptions"),
        *("fp_arithmetic", "pointer_auth"),
    )
]


def passes(tests: Sequence[str], **variables: str) -> None:
    result = on_aarch64("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, **variables)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


def test_the_named_tests_exist() -> None:
    named = [name for part in (*PARTS.values(), LARGE) for name in part if "/" in name]
    assert [name for name in named if not (aarch64.ROOT / name).is_file()] == []


if platform.machine() != "aarch64":

    def test_it_has_stencils() -> None:
        """Of as many functions as on x86-64, or nearly."""
        code = (
            "import guestdbg.cpu.processor; from guestdbg.cpu import tier, translation;"
            "print(tier.use('stencils'), tier.status(), len(translation.stencils()))"
        )
        result = on_aarch64("-c", code)
        assert result.returncode == 0, result.stderr
        why, status, count = result.stdout.split()
        assert (why, status) == ("None", "stencils")
        assert int(count) > 1000

    @pytest.mark.parametrize("which", PARTS)
    def test_a_part_of_the_tests_passes(which: str) -> None:
        passes(PARTS[which], GUESTDBG_TIER=which, GUESTDBG_TIER_ENTRIES="1")

    @pytest.mark.soak
    @pytest.mark.timeout(6 * 3600)
    @pytest.mark.parametrize("which", PARTS)
    def test_more_of_the_tests_pass(which: str) -> None:
        passes(LARGE, GUESTDBG_TIER=which, GUESTDBG_TIER_ENTRIES="1")

    @pytest.mark.soak
    @pytest.mark.timeout(6 * 3600)
    def test_every_function_ends_in_a_jump_and_every_stencil_calls_nothing() -> None:
        passes(["tests/cpu/test_dispatch.py", "tests/cpu/test_stencils.py", "-k", NOT_THERE])
