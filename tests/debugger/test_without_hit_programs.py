"""Nothing depends on hit programs: without them the same tests pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


def output_of(code: str, value: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"GUESTDBG_PLAIN": value},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(("value", "plain"), [("1", True), ("0", False), ("", False)])
def test_the_variable_switches_them_off(value: str, plain: bool) -> None:
    code = "from guestdbg.debugger.vcpu import hit_programs; print(hit_programs.PLAIN)"
    assert output_of(code, value) == str(plain)


#: These run both ways themselves, or do not depend on the way.
LEFT_OUT = (
    *("bit_fields", "condition_compiler", "condition_expression", "cxx_names"),
    *("damaged_debug_info", "debug_files", "elf_bounds", "float_conditions"),
    *("followed_watch", "fuzz_files", "guest_file", "hit_programs"),
    *("hits_differential", "image", "inlined_functions", "large_debug_info"),
    *("local_variables", "many_restores", "memory_use", "one_count"),
    *("restores", "semihosting_calls", "split_dwarf", "symbol_variables"),
    *("table_filters", "variable_names", "without_hit_programs"),
)


@pytest.mark.slow
def test_the_debuggers_tests_pass_without_them() -> None:
    """All but those that compare both ways."""
    assert all((HERE / f"test_{name}.py").exists() for name in LEFT_OUT)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        + [f"--ignore={HERE / f'test_{name}.py'}" for name in LEFT_OUT]
        + [str(HERE)],
        cwd=HERE.parents[1],
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        | {"GUESTDBG_PLAIN": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    passed = re.search(r"(\d+) passed", result.stdout.splitlines()[-1])
    assert passed is not None
    assert int(passed[1]) > 150
