"""Nothing that a guest does, and no order of calls, breaks the processor or the software KVM.

The cases are those of tools/fuzz.py, by their seeds: random code, registers, tables, memory slots,
debug registers, MMIO, snapshots taken and gone back to, in memory with guard pages around it,
through the bare processor and through the seam; plus the kinds with a model. Checked here:
every run ends, within its limit, and without a crash or an exception that is not documented; and
that a run from a snapshot is the same when it is made again. docs/testing.md says how to repeat
one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import fuzz
import fuzz_environment
import fuzz_memory

SEED = 20_000


#: That all of it is in there: how often at least, in so many cases.
DONE = {
    "cpu": {
        "write_code": 500,
        "set_system_registers": 500,
        "translate": 500,
        "accesses outside memory": 10_000,
        "take_snapshot": 300,
        "snapshots gone back to": 300,
        "runs done twice": 150,
        "set_gic": 300,
        "maintenance interrupts": 60,
    },
    "soft": {
        "write_code": 200,
        "set_registers": 200,
        "system_registers": 100,
        "MMIO exits": 3000,
        "take_snapshot": 100,
        "snapshots gone back to": 100,
        "run_twice": 100,
    },
}


def environment() -> dict[str, str]:
    """The environment in which the worker finds the guestdbg under test."""
    paths = [path for path in sys.path if path and Path(path).is_dir()]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize(
    ("kind", "cases", "instructions"),
    [("cpu", 600, 20_000_000), ("soft", 240, 10_000_000), ("pieces", 20, 800_000)],
)
def test_random_guests(kind: str, cases: int, instructions: int) -> None:
    """Ten million instructions and more; a failure names its seed."""
    outcome = fuzz.run(environment(), kind, SEED, cases)
    assert not outcome.failures, outcome.output
    assert outcome.cases == cases
    assert outcome.instructions >= instructions
    for what, least in DONE.get(kind, {}).items():
        assert outcome.did[what] >= least, f"{what}: {outcome.did[what]} times"


#: In place of the kinds: a byte that was not allocated.
BEYOND = """
import ctypes
from collections import Counter, namedtuple

Done = namedtuple("Done", "instructions did")

def run(kind, seed, actions, leave_out, tell):
    if seed == 7:
        ctypes.memset(ctypes.create_string_buffer(10_000), 0, 10_001)
    return Done(1, Counter())
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_guests_under_sanitizers(tmp_path: Path) -> None:
    """Built under the address and undefined-behaviour sanitizers, with little room for code."""
    try:
        sanitized = fuzz_environment.sanitized()
    except fuzz_environment.NoSanitizers as why:
        pytest.skip(str(why))
    for kind, cases in (("cpu", 200), ("soft", 50), ("translation", 60), ("pieces", 4)):
        outcome = fuzz.run(sanitized, kind, SEED, cases)
        assert not outcome.failures, outcome.output
        assert outcome.cases == cases
        assert outcome.instructions

    where = "import guestdbg.cpu.core as core; print(core.__file__, core.THREADED)"
    output = subprocess.run(
        [sys.executable, "-c", where],
        env=os.environ | sanitized,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert Path(output[0]).is_relative_to(fuzz_environment.SANITIZED)
    assert output[1] == "False"
    assert b"__asan_" in Path(output[0]).read_bytes()

    (tmp_path / "fuzz_kinds.py").write_text(BEYOND)
    beyond = sanitized | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{sanitized['PYTHONPATH']}"}
    outcome = fuzz.run(beyond, "cpu", 5, 4)
    assert [case.seed for case in outcome.failed] == [7]
    assert "worker died: AddressSanitizer: heap-buffer-overflow" in outcome.output
    assert "WRITE of size 10001" in outcome.output


# ---- that all this finds something ------------------------------------------------------------


@pytest.mark.parametrize("beyond", [-1, 1])
def test_guarded_memory_cannot_be_left(beyond: int) -> None:
    code = f"""
import ctypes, fuzz_memory
memory = fuzz_memory.Guarded(4096)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory.view))
memory.view[0] = memory.view[4095] = 1
ctypes.c_char.from_address(start + ({beyond} if {beyond} < 0 else 4096)).value
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(fuzz.__file__).parent, check=False
    )
    assert result.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("at", [-1, 4096])
def test_writes_beside_offset_memory_are_seen(at: int) -> None:
    memory = fuzz_memory.Offset(4096, 7)
    memory.view[0] = memory.view[4095] = 1
    memory.check()
    memory.buffer[7 + at] ^= 1
    with pytest.raises(AssertionError):
        memory.check()
