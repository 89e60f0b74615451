"""vCPUs that wait for timers, their own and each other's, wait as long in every repetition."""

from __future__ import annotations

import random
import struct

import pytest

import guestdbg
from guestdbg.check import assembler as asm
from guestdbg.debugger import Guest
from guestdbg.debugger.execution import ResumeAction
from tests.history.digest import digest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

RAM = 0x4000_0000
CODE = RAM + 0x8_0000
SEEN = RAM + 0x10_0000
WFI = 0xD503_207F


def load(seed: int, vcpus: int) -> Guest:
    """Each vCPU waits, sees what time it is, and works a little, for other times each."""
    rng = random.Random(seed)
    words: list[int] = []
    for cpu in range(1, vcpus):
        words += asm.flat(
            asm.mov(0, 0xC400_0003), asm.mov(1, cpu), asm.mov(2, CODE + 0x1000 * cpu),
            asm.mov(3, cpu), asm.hvc(),
        )  # fmt: skip
    contents = bytearray(0x1000 * vcpus)
    for cpu in range(vcpus):
        code = [*words] if cpu == 0 else []
        code += asm.flat(asm.mov(20, SEEN + 256 * cpu), asm.mov(6, 0))
        start = len(code)
        code += asm.flat(
            asm.mrs(0, "CNTVCT_EL0"), asm.add(0, 0, rng.randrange(1, 900)),
            asm.msr("CNTV_CVAL_EL0", 0), asm.mov(1, 1), asm.msr("CNTV_CTL_EL0", 1), WFI,
            asm.mrs(2, "CNTVCT_EL0"), asm.add_reg(6, 6, 2), asm.eor_reg(6, 6, 0),
            asm.access("str", 6, 20, 0), [asm.add(7, 7, 1)] * rng.randrange(1, 40),
        )  # fmt: skip
        code.append(0x1400_0000 | (start - len(code)) & 0x3FF_FFFF)
        contents[0x1000 * cpu : 0x1000 * cpu + 4 * len(code)] = struct.pack(f"<{len(code)}I", *code)
    return guestdbg.load(
        bytes(contents),
        kind="raw",
        address=CODE,
        provider="soft",
        memory="4M",
        vcpus=vcpus,
        console=None,
        history=True,
    )


@pytest.mark.parametrize("vcpus", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_every_time_is_as_it_was(seed: int, vcpus: int) -> None:
    rng = random.Random(seed)
    with load(seed, vcpus) as guest:
        seen = []
        for _ in range(25):
            guest.run(max_instructions=rng.randrange(1, 2000))
            if rng.random() < 0.3:
                guest.interrupt()  # a kick, which may come before the wait goes on
                guest.run(max_instructions=1)
            seen.append((guest.history.now, digest(guest)))
        rng.shuffle(seen)
        for time, expected in seen:
            guest.goto(time)
            assert digest(guest) == expected
            if rng.random() < 0.3:
                guest.interrupt()
                guest.run(max_instructions=rng.randrange(300))
        time, expected = max(seen)
        guest.goto(guest.history.begin)
        guest.goto(time)
        assert digest(guest) == expected


@pytest.mark.parametrize("vcpus", [1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_steps_over_a_wait_are_repeated(seed: int, vcpus: int) -> None:
    """Steps, which hold the other vCPUs, and runs of some of them; back, and forward again."""
    rng = random.Random(seed)
    with load(seed, vcpus) as guest:
        guest.run(max_instructions=400)
        seen = []
        for _ in range(60):
            guest.select(rng.randrange(vcpus))
            if rng.random() < 0.8:
                stop = guest.step(rng.randrange(1, 12), timeout=20)
            elif vcpus > 1:
                some = rng.sample(range(vcpus), rng.randrange(1, vcpus))
                moves = {n: ResumeAction(step=rng.random() < 0.5) for n in some}
                stop = guest.resume(moves, max_instructions=rng.randrange(1, 300), timeout=20)
            else:
                stop = guest.run(max_instructions=rng.randrange(1, 300))
            assert stop.reason in ("step", "limit")
            seen.append((guest.history.now, digest(guest)))
        final = seen[-1]
        for time, expected in rng.sample(seen, 25):
            guest.goto(time)
            assert digest(guest) == expected
            if rng.random() < 0.5:
                guest.select(rng.randrange(vcpus))
                guest.step(rng.randrange(1, 12), timeout=20)
                here = guest.history.now, digest(guest)
                guest.goto(guest.history.begin)
                guest.goto(here[0])
                assert digest(guest) == here[1]
        guest.goto(guest.history.begin)
        guest.goto(final[0])
        assert digest(guest) == final[1]
