"""Hostile guests: random instructions with addresses of devices, memory and nothing, on a board.

Whatever they do, each run ends, the host goes on, and memory that is not theirs stays as it was.
"""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestdbg.kvm import (
    Exit,
    ExitInternalError,
    ExitIntr,
    ExitSystemEvent,
    SupportsInstructionLimit,
    open_kvm,
)
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.machine import Board, Console, load

LIMIT = 3000  # instructions of one guest
EXITS = 200  # of one run, for guests that wait for ever
PLACES = [
    0x09000000,  # UART
    0x09000018,
    0x09000FF0,
    0x40000000,  # RAM, its device tree
    0x40200000,  # the code itself
    0x40400000 - 8,  # the end of RAM
    0x08000000,  # a GIC in QEMU
    0x0A000000,
    0x0B000000,  # nothing
    0x0,
    0xFFFF_FFFF_FFFF_FFF8,
    0x0000_8000_0000_0000,
]

# Instructions that are rare among random words: memory accesses and system instructions.
USEFUL = [
    0xF9400000,  # LDR Xt, [Xn, #imm]
    0xF9000000,  # STR
    0x39400000,  # LDRB
    0x39000000,  # STRB
    0xB8400400,  # LDR Wt, [Xn], #imm
    0xB8000C00,  # STR Wt, [Xn, #imm]!
    0xA9400000,  # LDP
    0xA9000000,  # STP
    0xC85F7C00,  # LDXR
    0xC8007C00,  # STXR
    0x3DC00000,  # LDR Qt
    0x3D800000,  # STR Qt
    0xD5000000,  # system instructions
    0xD5180000,  # MSR
    0xD5380000,  # MRS
    0xD4000000,  # SVC, HVC, SMC, BRK, HLT
    0xD69F03E0,  # ERET
    0x14000000,  # B
    0x54000000,  # B.cond
    0xD61F0000,  # BR
]

# At every vector: continue at the next of the first 512 words of the code.
#   add x27, x27, #4; and x27, x27, #0x7fc; movz x26, #0x4020, lsl #16; add x26, x26, x27
#   msr ELR_EL1, x26; eret
ON_EXCEPTION = b"".join(
    word.to_bytes(4, "little")
    for word in (0x9100137B, 0x927E237B, 0xD2A8041A, 0x8B1B035A, 0xD518403A, 0xD69F03E0)
)
VECTORS = ON_EXCEPTION.ljust(0x80, b"\0") * 16
VECTORS_AT = 0x40300000


def random_code(seed: int, length: int) -> bytes:
    chance = random.Random(seed)
    words = []
    for _ in range(length):
        if chance.random() < 0.3:
            words.append(chance.getrandbits(32))
        else:
            # Random low bits: registers, most immediates, system register encodings.
            word = chance.choice(USEFUL) | chance.getrandbits(21) & chance.getrandbits(21)
            words.append(word if chance.random() < 0.9 else word & ~0x3E0 | chance.getrandbits(5))
    return b"".join(word.to_bytes(4, "little") for word in words)


def run_hostile(code: bytes, seed: int, path: Path) -> Exit:
    chance = random.Random(seed)
    path.write_bytes(code)
    with open_kvm("soft") as kvm, Board(kvm, memory_size=4 << 20, console=Console()) as board:
        load(board, path, kind="raw", address=0x40200000)
        board.console.feed(b"typed")
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionLimit)
        for number in range(31):
            vcpu.set_one_reg(core_reg(f"x{number}"), chance.choice(PLACES))
        # Most guests fault soon. Then they continue elsewhere in their code, or their vectors are
        # random code, or not in memory.
        board.write_phys(VECTORS_AT, VECTORS)
        vectors = chance.choice([VECTORS_AT] * 5 + [0x40200000, 0x40200800, 0x0B000000])
        vcpu.set_one_reg(sys_reg("VBAR_EL1"), vectors)
        vcpu.max_instructions = LIMIT
        for _ in range(EXITS):
            exit_ = board.run(vcpu)
            if isinstance(exit_, ExitSystemEvent | ExitInternalError):
                return exit_
            assert isinstance(exit_, ExitIntr), exit_
            if not exit_.idle:
                return exit_
        return exit_


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, (1 << 64) - 1), length=st.integers(1, 600))
def test_random_guests_end(tmp_path: Path, seed: int, length: int) -> None:
    run_hostile(random_code(seed, length), seed, tmp_path / "hostile.bin")


@pytest.mark.parametrize("where", PLACES)
def test_jumping_anywhere_ends(tmp_path: Path, where: int) -> None:
    """BR x0 with each of the addresses in x0."""
    path = tmp_path / "jump.bin"
    path.write_bytes((0xD61F0000).to_bytes(4, "little"))
    with open_kvm("soft") as kvm, Board(kvm, memory_size=4 << 20) as board:
        load(board, path, kind="raw", address=0x40200000)
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionLimit)
        vcpu.set_one_reg(core_reg("x0"), where)
        vcpu.max_instructions = LIMIT
        assert isinstance(board.run(vcpu), ExitIntr | ExitInternalError)


@pytest.mark.parametrize("instruction", [0xF9400000, 0xA9400000], ids=["LDR", "LDP"])
def test_an_exception_handler_that_reads_nothing_ends(tmp_path: Path, instruction: int) -> None:
    """Its aborts retire no instruction, so a limit of instructions does not end it."""
    path = tmp_path / "handler.bin"
    path.write_bytes(instruction.to_bytes(4, "little") * 512)  # LDR x0, [x0]; LDP x0, x0, [x0]
    with open_kvm("soft") as kvm, Board(kvm, memory_size=4 << 20) as board:
        load(board, path, kind="raw", address=0x40200000)
        vcpu = board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionLimit)
        vcpu.set_one_reg(core_reg("x0"), 0x0B000000)
        vcpu.set_one_reg(sys_reg("VBAR_EL1"), 0x40200000)
        vcpu.max_instructions = LIMIT
        exit_ = board.run(vcpu)
        assert isinstance(exit_, ExitInternalError)
        assert "its exception vector at 0x40200200 raises an exception itself" in exit_.text
