"""The machine code of aarch64 that translation.pyx writes, as a disassembler reads it.

stencil_host_aarch64.h is compiled for this host, whichever it is. Each kind of patch is put into an
instruction of its kind at the ends of its range, in the middle, and beyond.
"""

from __future__ import annotations

import ctypes
import platform
import random
import shutil
import subprocess
from pathlib import Path

import capstone
import pytest
from capstone import arm64_const as arm64

from guestdbg.cpu.stencils import holes

CPU = Path(__file__).parents[2] / "src" / "guestdbg" / "cpu"
SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "stencil_table.h"
#include "stencil_host_aarch64.h"
int takes(int kind, uint64_t value) { return guestdbg_takes(kind, value); }
int apply(uint8_t *at, int kind, uint64_t value) { return guestdbg_apply(at, kind, value); }
void jump(uint8_t *at, const uint8_t *to) { guestdbg_write_jump(at, to); }
void veneer(uint8_t *at, uint64_t to) { guestdbg_write_veneer(at, to); }
void fill(uint8_t *at, size_t size) { guestdbg_fill(at, size); }
void divert(uint8_t *block, const uint8_t *entry) { guestdbg_divert(block, entry); }
void written(uint8_t *at, size_t size) { guestdbg_written(at, size); }
"""
U64 = (1 << 64) - 1


class Code:
    """Sixteen words of memory, and the header's functions."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._memory = (ctypes.c_uint32 * 16)()
        self.address = ctypes.addressof(self._memory)

    def apply(self, word: int, kind: int, value: int) -> capstone.CsInsn | None:
        """The instruction after it; None: it was refused, and nothing was changed."""
        self._memory[0] = word
        done = self._library.apply(
            ctypes.c_void_p(self.address), kind, ctypes.c_uint64(value & U64)
        )
        if not done:
            assert self._memory[0] == word
            return None
        return self.read(1)[0]

    def call(self, name: str, *arguments: int) -> None:
        getattr(self._library, name)(*(ctypes.c_uint64(n & U64) for n in arguments))

    def takes(self, kind: int, value: int) -> bool:
        return bool(self._library.takes(kind, ctypes.c_uint64(value & U64)))

    def read(self, words: int) -> list[capstone.CsInsn]:
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        engine.detail = True
        return list(engine.disasm(bytes(self._memory)[: 4 * words], self.address))

    def word(self, n: int) -> int:
        return self._memory[n]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Code:
    if not (compiler := shutil.which("gcc")):
        pytest.skip("no gcc")
    place = tmp_path_factory.mktemp("host")
    (place / "host.c").write_text(SOURCE)
    command = [compiler, "-O1", "-Wall", "-Werror", f"-I{CPU}", "-shared", "-fPIC"]
    subprocess.run([*command, str(place / "host.c"), "-o", str(place / "host.so")], check=True)
    return Code(ctypes.CDLL(str(place / "host.so")))


def immediate(insn: capstone.CsInsn) -> int:
    """That of the last operand, or the displacement of a memory operand."""
    last = insn.operands[-1]
    value: int = last.mem.disp if last.type == arm64.ARM64_OP_MEM else last.imm
    return value


BRANCHES = [
    pytest.param(0x1400_0000, holes.JUMP26, 27, id="b"),
    pytest.param(0x5400_0001, holes.BRANCH19, 20, id="b.ne"),
    pytest.param(0xB400_0003, holes.BRANCH19, 20, id="cbz"),
    pytest.param(0xB6F8_0003, holes.BRANCH14, 15, id="tbz"),
]


@pytest.mark.parametrize(("word", "kind", "bits"), BRANCHES)
def test_branches(code: Code, word: int, kind: int, bits: int) -> None:
    for distance in (0, 4, -4, 0x44, -0x80, (1 << bits) - 4, -(1 << bits)):
        insn = code.apply(word | 0x60, kind, code.address + distance)
        assert insn is not None
        assert immediate(insn) & U64 == code.address + distance
    for distance in (1 << bits, -(1 << bits) - 4, 1 << 40, -(1 << 40), 2):
        assert code.apply(word, kind, code.address + distance) is None


def test_pages(code: Code) -> None:
    page = code.address & ~4095
    for distance in (0, 1, -1, 5, 0x12345, (1 << 20) - 1, -(1 << 20)):
        insn = code.apply(0x9000_0001, holes.PAGE21, page + (distance << 12) + 0x7F8)
        assert insn is not None
        assert immediate(insn) & U64 == (page + (distance << 12)) & U64
    for distance in (1 << 20, -(1 << 20) - 1, 1 << 40):
        assert code.apply(0x9000_0001, holes.PAGE21, page + (distance << 12)) is None


@pytest.mark.parametrize(
    ("word", "kind", "size"),
    [
        pytest.param(0x9100_0020, holes.LOW12, 1, id="add"),
        pytest.param(0x3940_0020, holes.LOAD8, 1, id="ldrb"),
        pytest.param(0x7940_0020, holes.LOAD16, 2, id="ldrh"),
        pytest.param(0xB940_0020, holes.LOAD32, 4, id="ldr w"),
        pytest.param(0xF940_0020, holes.LOAD64, 8, id="ldr x"),
        pytest.param(0xF900_0020, holes.LOAD64, 8, id="str x"),
        pytest.param(0x3DC0_0020, holes.LOAD128, 16, id="ldr q"),
    ],
)
def test_the_rest_of_an_address(code: Code, word: int, kind: int, size: int) -> None:
    for value in (0, size, 7 * size, 4096 - size, 0x1234_5000 + 2 * size):
        insn = code.apply(word | 0x3F << 10, kind, value)
        assert insn is not None
        assert immediate(insn) == value & 4095
    if size > 1:
        assert code.apply(word, kind, size // 2) is None, "it is not aligned"


WIDE = random.Random(1).getrandbits(64) | 1 << 63


@pytest.mark.parametrize(
    ("kind", "shift"),
    [(holes.MOVW0, 0), (holes.MOVW1, 16), (holes.MOVW2, 32), (holes.MOVW3, 48)],
)
def test_numbers(code: Code, kind: int, shift: int) -> None:
    for value in (0, U64, WIDE, ~WIDE & U64):
        insn = code.apply(0xF280_0001 | shift << 17 | 0x1234 << 5, kind, value)  # movk
        assert insn is not None
        assert insn.operands[1].imm == value >> shift & 0xFFFF
        assert insn.operands[1].shift.value == shift
        assert code.takes(kind, value)


def test_numbers_of_fewer_bits(code: Code) -> None:
    """Offsets have 32 bits with a sign: a literal's address does not fit."""
    for value in (0, 5, 0x7FFF_FFFF, -1, -0x8000_0000):
        insn = code.apply(0x72A0_0001, holes.MOVW_LAST1, value)
        assert insn is not None
        assert insn.operands[1].imm == value >> 16 & 0xFFFF
        assert code.takes(holes.MOVW_LAST1, value)
    for value in (0x8000_0000, 1 << 32, -0x8000_0001, 0x4000_1234_5678):
        assert not code.takes(holes.MOVW_LAST1, value)
    assert code.apply(0x5280_0001, holes.MOVW_LAST0, 0xFFFF) is not None
    assert code.apply(0x5280_0001, holes.MOVW_LAST0, 0x1_0000) is None


def test_a_kind_of_another_host(code: Code) -> None:
    for kind in (0, holes.ABS32, holes.ABS64, holes.PC32, holes.ABS8, 99):
        assert code.apply(0x1400_0000, kind, 0) is None


def test_what_is_written(code: Code) -> None:
    at = code.address
    code.call("fill", at, 64)
    assert [insn.mnemonic for insn in code.read(16)] == ["nop"] * 16
    code.call("veneer", at, 0x1234_5678_9ABC)
    load, jump = code.read(2)
    assert (load.mnemonic, immediate(load) - at) == ("ldr", 8)
    assert load.op_str.split(",")[0] == jump.op_str == "x16"
    assert jump.mnemonic == "br"
    assert code.word(2) | code.word(3) << 32 == 0x1234_5678_9ABC
    code.call("jump", at, at + (1 << 26))
    assert immediate(code.read(1)[0]) == at + (1 << 26)
    code.call("fill", at, 64)
    code.call("divert", at + 32, at)
    diverted = code.read(9)[-1]
    assert (diverted.mnemonic, immediate(diverted)) == ("b", at)
    code.call("written", at, 64)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="another host")
def test_it_is_the_header_of_this_host() -> None:
    text = (CPU / "stencil_host.h").read_text()
    assert f'#include "stencil_host_{platform.machine()}.h"' in text
