"""Watchpoints at every form of SIMD load and store: what a hit reports, and V registers at it."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from fuzz_accesses import FORMS, INDEX, READ, WRITE, Encoded  # noqa: E402

from guestdbg.debugger import Guest  # noqa: E402
from tests.debugger.assembled import CODE, DATA, assembled, words  # noqa: E402

SIMD = [name for name in FORMS if "vector" in name or "structure" in name]
BASE = 20
B_SELF = 0x14000000
NAMES = {READ: "read", WRITE: "write", READ | WRITE: "readwrite"}
_RNG = random.Random("memory")
MEMORY = _RNG.randbytes(256)
VECTORS = [_RNG.getrandbits(128) for _ in range(32)]
# LDR S, D and Q (literal), of the data that comes after the branch.
LITERALS = {4: 0x1C000000, 8: 0x5C000000, 16: 0x9C000000}


@pytest.fixture(params=[True, False], ids=["provider", "python"])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    with assembled([], use_hit_programs=request.param) as loaded:
        loaded.cpu.set_reg("CPACR_EL1", 3 << 20)
        yield loaded


def prepare(guest: Guest, code: Encoded, target: int) -> None:
    """Have the instruction at CODE, and access ``target`` next."""
    cpu = guest.cpu
    guest.board.write_phys(CODE, words(code.raw | BASE << code.base_at, B_SELF))
    guest.board.write_phys(DATA, MEMORY)
    for n, value in enumerate(VECTORS):
        cpu.v[n] = value
    cpu.x[BASE] = target - code.offset
    cpu.x[INDEX] = code.index or 0
    cpu.pc = CODE


@pytest.mark.parametrize("name", SIMD)
def test_every_form_is_reported(guest: Guest, name: str) -> None:
    rng = random.Random(name)
    sizes = set()
    for _ in range(24):
        code, target = FORMS[name](rng), DATA + 64
        prepare(guest, code, target)
        guest.step()
        assert guest.cpu.pc == CODE + 4
        after = guest.board.read_phys(DATA, len(MEMORY))
        register = code.raw & 31
        value = guest.cpu.v[register]
        for at in {0, rng.randrange(code.size), code.size - 1}:
            prepare(guest, code, target)
            watch = guest.watch(target + at, 1, access="any", when=f"q{register} == {value}")
            stop = guest.run(max_instructions=20)
            hit = stop.hit
            assert hit is not None, (hex(code.raw), at)
            assert (hit.pc, hit.access_address, hit.access_size) == (CODE, target, code.size)
            assert (hit.address, hit.size, hit.access) == (target + at, 1, NAMES[code.bits])
            assert (hit.syndrome >> 26, hit.syndrome >> 6 & 1) == (0x34, code.bits == WRITE)
            assert hit.far is not None
            assert target <= hit.far <= target + at
            assert hit.old == MEMORY[64 + at]
            assert hit.new == (after[64 + at] if code.bits & WRITE else None)
            assert guest.cpu.v[register] == value
            watch.delete()
            sizes.add(code.size)
        for beside in (-1, code.size):
            prepare(guest, code, target)
            watch = guest.watch(target + beside, 1, access="any")
            assert guest.run(max_instructions=20).reason == "limit"
            watch.delete()
        prepare(guest, code, target)
        watch = guest.watch(target, 1, access="any", when=f"q{register} == {value ^ 1}")
        assert guest.run(max_instructions=20).reason == "limit"
        assert (watch.seen, watch.hits) == (1, 0)
        watch.delete()
    if name == "structures":
        assert {16, 32, 48, 64} <= sizes


@pytest.mark.parametrize("size", LITERALS)
def test_literals_are_reported(guest: Guest, size: int) -> None:
    guest.board.write_phys(CODE, words(LITERALS[size] | 4 << 5 | 3, B_SELF, 0, 0) + MEMORY[:16])
    guest.cpu.pc = CODE
    guest.watch(CODE + 16 + size - 1, 1, access="read", when=f"v3.b[{size - 1}] == old")
    hit = guest.run(max_instructions=20).hit
    assert hit is not None
    assert (hit.access_address, hit.access_size, hit.access) == (CODE + 16, size, "read")
    assert guest.cpu.v[3] == int.from_bytes(MEMORY[:size], "little")


def test_the_numbers_of_lanes_at_a_hit(guest: Guest) -> None:
    """LD2 of doubles: one structure after the other."""
    code = Encoded(0x4C408C00 | 3, 32, READ)  # ld2 {v3.2d, v4.2d}, [x20]
    prepare(guest, code, DATA)
    for n, value in enumerate((1.5, 2.5, -3.5, 4.5)):
        guest.cpu.d[0] = value
        guest.write(DATA + 8 * n, guest.cpu.v[0].to_bytes(16, "little")[:8])
    when = "v3.d.f[0] == 1.5 and v3.d.f[1] == -3.5 and d4 + v4.d.f[1] == 7 and d3 < d4"
    watch = guest.watch(DATA + 16, 8, access="read", when=when)
    assert guest.run(max_instructions=20).reason == "hit"
    assert (watch.seen, watch.hits) == (1, 1)
