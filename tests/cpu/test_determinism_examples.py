"""The example guests do the same each time, in one piece or in many, armed or not.

Through the seam and the board: guest memory, console output, instruction counts, registers, and
the accesses to devices, each at its instruction.
"""

from __future__ import annotations

import hashlib
import random
from typing import NamedTuple

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg import load as load_guest
from guestdbg.debugger import Hit
from guestdbg.kvm import (
    Exit,
    ExitArmNisv,
    ExitDebug,
    ExitIntr,
    ExitMmio,
    GuestDebug,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    Vcpu,
    open_kvm,
)
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_USE_HW
from guestdbg.machine import Board, Console, load
from tests.machine.guests import ENDLESS, OUTPUT, guest

MOST = 3_000_000
FEW = 100_000  # for what does nothing but access a device
MEMORY = 16 << 20

# These use the debug registers themselves: they behave differently when a host debugs them.
OWN_DEBUG = ("selfdebug",)


class Ran(NamedTuple):
    exit: Exit
    instructions: int
    output: bytes
    registers: dict[int, int]
    memory: str
    devices: str  # a digest of all accesses to devices and the instructions they came at


def run(name: str, pieces: random.Random | None = None, *, armed: bool = False) -> Ran:
    most = FEW if name == "flood" else MOST
    output = bytearray()
    accesses = hashlib.sha256()
    with (
        open_kvm("soft") as kvm,
        Board(kvm, memory_size=MEMORY, console=Console(output.extend)) as board,
    ):
        loaded = load(board, guest(name))
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionCount)
        assert isinstance(vcpu, SupportsInstructionLimit)
        if armed:
            arm(vcpu, loaded.entry, max(segment.end for segment in loaded.segments))
        while True:
            end = most
            if pieces:
                end = min(end, vcpu.instructions + pieces.choice([1, 10, 1000, 30_000, 300_000]))
            vcpu.max_instructions = end
            exit_: Exit = vcpu.run()
            while isinstance(exit_, (ExitMmio, ExitArmNisv)):
                accesses.update(f"{exit_} {vcpu.instructions}\n".encode())
                if isinstance(exit_, ExitMmio):
                    board.bus.access(vcpu, exit_)
                else:
                    board.bus.undescribed(vcpu, exit_)
                exit_ = vcpu.run()
            assert not isinstance(exit_, ExitDebug), f"{name} accessed what was armed: {exit_}"
            if vcpu.instructions >= most or not isinstance(exit_, ExitIntr):
                break
        return Ran(
            exit_,
            vcpu.instructions,
            bytes(output),
            registers(vcpu),
            hashlib.sha256(board.ram.buffer).hexdigest(),
            accesses.hexdigest(),
        )


def registers(vcpu: Vcpu) -> dict[int, int]:
    if isinstance(vcpu, SupportsInstructionCount):
        vcpu.set_guest_debug(GuestDebug())
    return {reg: vcpu.get_one_reg(reg) for reg in vcpu.get_reg_list()}


def arm(vcpu: Vcpu, entry: int, end: int) -> None:
    """All the registers, on pages that the guest uses, at places that it does not."""
    quiet = -(-end // 8) * 8
    vcpu.set_guest_debug(
        GuestDebug(
            KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW,
            (0x1E7,) * 6,
            tuple(quiet + 4 * n for n in range(6)),
            # writes only, of the first instructions; reads and writes after all data
            (0x1FF7, 0x1FF7, 0x1FFF, 0x1FFF),
            (entry & ~7, (entry & ~7) + 8, quiet, quiet + 8),
        )
    )


@pytest.mark.parametrize("name", [*OUTPUT, *ENDLESS])
def test_examples_do_the_same_however_they_are_run(name: str) -> None:
    whole = run(name)
    for n in range(2):
        assert run(name, random.Random(f"{name}{n}")) == whole
    if name not in OWN_DEBUG:
        assert run(name, armed=True) == whole
        assert run(name, random.Random(name), armed=True) == whole


@pytest.mark.parametrize(
    ("name", "watched", "called"),
    [
        ("queue", ["queue.tail", "made"], ["queue_pop", "note_worst"]),
        ("counter", ["counter"], ["main"]),
    ],
)
def test_a_guest_does_not_notice_that_it_is_watched(
    name: str, watched: list[str], called: list[str]
) -> None:
    """Thousands of hits with handlers in Python, each stepped off: nothing else differs."""
    ran = []
    for hits in (None, []):
        output = bytearray()
        seen: list[Hit] | None = hits
        with load_guest(guest(name), provider="soft", memory="16M", console=output.extend) as g:
            if seen is not None:
                for what in watched:
                    g.watch(what, access="any")(seen.append)
                for what in called:
                    g.break_(what)(seen.append)
            stop = g.run(timeout=120)
            assert stop.reason == "exit", stop
            memory = hashlib.sha256(g.board.ram.buffer).hexdigest()
            vcpu = g.board.vcpus[0]
            assert isinstance(vcpu, SupportsInstructionCount)
            ran.append((vcpu.instructions, bytes(output), memory))
        if seen is not None:
            assert len(seen) > 100
    assert ran[0] == ran[1]
