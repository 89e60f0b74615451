"""Call frame information of a kernel, from its code, for debuggers that have no other.

GDB finds no frames of its own in a kernel that was compiled with function tracing or pointer
authentication. Kernels keep frame records (X29 points to the caller's X29 and X30, AAPCS64), and
their prologues and epilogues have few forms; so the frames follow from the code. The format is that
of the section .debug_frame (DWARF 5, 6.4).
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Code", "debug_frame"]

#: DWARF for the Arm 64-bit Architecture, 4.1. struct pt_regs has them in the same order.
_FP, _LR, _SP, _PC = 29, 30, 31, 32
#: Functions that share an FDE: an unwinder executes it from its start.
_FUNCTIONS_IN_ONE = 64
#: From LDP X29, X30 to the end of the epilogue.
_EPILOGUE_WORDS = 4

#: The second byte of an ADD or SUB of an immediate to SP: its low bits are those of SP.
_SP_LOW = b"".join(b"\\x%02x" % n for n in range(3, 256, 4))
#: STP X29, X30, [SP, #-n]!; STP X29, X30, [SP, #n]; ADD X29, SP, #n (MOV X29, SP); LDP X29, X30.
_FORMS = re.compile(
    rb"\xfd[\x7b\xfb](?P<push>[\x80-\xbf])\xa9|\xfd[\x7b\xfb](?P<store>[\x00-\x1f])\xa9"
    rb"|\xfd(?P<set>[%b])[\x00-\x3f]\x91|\xfd[\x7b\xfb](?P<pop>[\xc0-\xdf])\xa8"
    rb"|\xfd[\x7b\xfb](?P<load>[\x40-\x5f])\xa9" % _SP_LOW,
    re.DOTALL,
)
_SUB_SP = re.compile(rb"\xff[%b][\x00-\x3f]\xd1" % _SP_LOW, re.DOTALL)
_RET, _RETAA = 0xD65F03C0, 0xD65F0BFF
_PACIASP = b"\x3f\x23\x03\xd5"
#: Nothing called these: entry from EL0, and where a new task and a vCPU begin.
_VECTOR = r"(?:64|32)_(?:sync|irq|fiq|error)"
_OUTERMOST = re.compile(rf"el0t_{_VECTOR}|ret_from_fork|ret_to_user|__(primary|secondary)_switched")
#: Entry from EL1: all registers of what was interrupted are in struct pt_regs.
_INTERRUPTED = re.compile(rf"el1[ht]_{_VECTOR}")

# DWARF 5, 7.24 and 7.7.1.
_ADVANCE, _OFFSET, _RESTORE = 0x40, 0x80, 0xC0
_ADVANCE2, _UNDEFINED, _REMEMBER, _RESTORE_STATE = 0x03, 0x07, 0x0A, 0x0B
_ADVANCE4, _RESTORE_EXTENDED = 0x04, 0x06
_DEF_CFA = 0x0C
_DEF_CFA_EXPRESSION, _EXPRESSION, _VAL_EXPRESSION = 0x0F, 0x10, 0x16
_OP_DEREF, _OP_CONST1U, _OP_CONST1S, _OP_CONSTU = 0x06, 0x08, 0x09, 0x10
_OP_MINUS, _OP_OR, _OP_SHL, _OP_BREG0 = 0x1C, 0x21, 0x24, 0x70


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a function's frame record is: ``record`` bytes above SP, of a frame of ``size``."""

    size: int
    record: int


@dataclass(frozen=True, slots=True)
class Code:
    """Some code.

    Attributes:
        text: the code.
        address: its virtual address.
        functions: the addresses and names of the functions in it, in their order.
    """

    text: bytes
    address: int
    functions: Sequence[tuple[int, str]]


def debug_frame(areas: Sequence[Code], address_bits: int) -> bytes:
    """The section .debug_frame for some code.

    Args:
        areas: the code.
        address_bits: how many low bits of a pointer are its address: the others may be a pointer
            authentication code.
    """
    signed = address_bits if any(_PACIASP in area.text for area in areas) else 64
    out = bytearray(_entry(b"\xff\xff\xff\xff", _common(signed)))
    for area in areas:
        for entry in _entries(area, signed):
            out += entry
    return bytes(out)


def _entries(area: Code, signed: int) -> Iterator[bytes]:
    """The FDEs of some code."""
    address, functions = area.address, area.functions
    end = address + len(area.text)
    starts = [at for at, _ in functions] + [end]
    for first in range(0, len(functions), _FUNCTIONS_IN_ONE):
        part = functions[first : first + _FUNCTIONS_IN_ONE]
        low, high = part[0][0], min(starts[first + len(part)], end)
        if low >= high:
            continue
        program = _Program(low, signed)
        for (start, name), (stop, _) in itertools.pairwise([*part, (high, "")]):
            program.function(start, name, area.text[start - address : stop - address])
        yield _entry(bytes(4), struct.pack("<QQ", low, high - low) + bytes(program.code))


def _entry(head: bytes, body: bytes) -> bytes:
    padding = bytes(-len(body) % 8)  # DW_CFA_nop
    return struct.pack("<I", 4 + len(body) + len(padding)) + head + body + padding


def _uleb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _sleb(value: int) -> bytes:
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value & 0x7F))


def _common(signed: int) -> bytes:
    """The CIE: at its start a function's caller is in X30, and its frame is that of SP."""
    body = bytes((4,)) + b"\0" + bytes((8, 0)) + _uleb(4) + bytes((0x78,)) + _uleb(_LR)
    rule = b""
    if signed < 64:
        rule = _value(_LR, bytes((_OP_BREG0 + _LR, 0)) + _canonical(signed))
    return body + bytes((_DEF_CFA, _SP, 0)) + rule


def _value(register: int, expression: bytes) -> bytes:
    return bytes((_VAL_EXPRESSION, register, len(expression))) + expression


def _canonical(signed: int) -> bytes:
    """OR with ones above the address: kernels are in the upper half."""
    return bytes((_OP_CONST1S, 0xFF, _OP_CONST1U, signed, _OP_SHL, _OP_OR))


class _Program:
    """The instructions of one FDE."""

    def __init__(self, start: int, signed: int) -> None:
        self.code = bytearray()
        self._at = start
        self._signed = signed
        self._all_saved = False

    def _advance(self, to: int) -> None:
        words = (to - self._at) // 4
        self._at = to
        if not words:
            return
        if words < 0x40:
            self.code.append(_ADVANCE | words)
        elif words < 1 << 16:
            self.code += struct.pack("<BH", _ADVANCE2, words)
        else:
            self.code += struct.pack("<BI", _ADVANCE4, words)

    def _plain(self) -> None:
        """As in the CIE."""
        self.code += bytes((_DEF_CFA, _SP, 0, _RESTORE | _FP, _RESTORE | _LR))
        if self._all_saved:
            self._all_saved = False
            for register in range(_FP):
                self.code.append(_RESTORE | register)
            self.code += bytes((_RESTORE_EXTENDED, _PC))

    def _saved(self, frame: _Frame) -> None:
        """X29 and X30 are in the frame record."""
        below = frame.size - frame.record
        self.code += bytes((_OFFSET | _FP,)) + _uleb(below // 8)
        if self._signed < 64:
            read = bytes((_OP_CONSTU,)) + _uleb(below - 8) + bytes((_OP_MINUS, _OP_DEREF))
            self.code += _value(_LR, read + _canonical(self._signed))
        else:
            self.code += bytes((_OFFSET | _LR,)) + _uleb(below // 8 - 1)

    def function(self, start: int, name: str, code: bytes) -> None:
        """The rows of one function."""
        self._advance(start)
        self._plain()
        if _OUTERMOST.fullmatch(name):
            self.code += bytes((_UNDEFINED, _LR))
        elif _INTERRUPTED.fullmatch(name):
            self._interrupted(start, code)
        else:
            self._rows(start, code)

    def _interrupted(self, start: int, code: bytes) -> None:
        """An exception's entry: ADD X29, SP, #n, where SP points to struct pt_regs."""
        at = next((at for at, kind in _prologues(code) if kind == "set"), None)
        if at is None:
            self.code += bytes((_UNDEFINED, _LR))
            return
        self._advance(start + at + 4)
        offset = struct.unpack_from("<I", code, at)[0] >> 10 & 0xFFF

        def slot(register: int) -> bytes:
            return bytes((_OP_BREG0 + _FP,)) + _sleb(8 * register - offset)

        found = slot(_SP) + bytes((_OP_DEREF,))
        self.code += bytes((_DEF_CFA_EXPRESSION, len(found))) + found
        self._all_saved = True
        for register in (*range(_SP), _PC):
            self.code += bytes((_EXPRESSION, register, len(slot(register)))) + slot(register)

    def _rows(self, start: int, code: bytes) -> None:
        frame: _Frame | None = None
        is_set = False
        for at, kind in _prologues(code):
            if frame is None:
                frame = _frame(code, at, kind)
                if frame is not None:
                    self._advance(start + at + 4)
                    self.code += bytes((_DEF_CFA, _SP)) + _uleb(frame.size)
                    self._saved(frame)
            elif kind == "set" and not is_set:
                is_set = True
                self._advance(start + at + 4)
                self.code += bytes((_DEF_CFA, _FP)) + _uleb(frame.size - frame.record)
            elif kind in ("pop", "load") and is_set:
                self._epilogue(start, code, at, kind, frame)

    def _epilogue(self, start: int, code: bytes, at: int, kind: str, frame: _Frame) -> None:
        """From the load of X29 and X30 to the return; then the frame is there again."""
        end = at + 4 * (_EPILOGUE_WORDS + 1)
        words = struct.unpack_from(f"<{len(code[at:end]) // 4}I", code, at)
        last = next((n for n, word in enumerate(words) if n and _leaves(word)), None)
        if last is None or start + at + 4 < self._at:
            return
        self._advance(start + at + 4)
        self.code.append(_REMEMBER)
        self.code += bytes((_DEF_CFA, _SP)) + _uleb(0 if kind == "pop" else frame.size)
        self.code += bytes((_RESTORE | _FP, _RESTORE | _LR))
        self._advance(start + at + 4 * (last + 1))
        self.code.append(_RESTORE_STATE)


def _prologues(code: bytes) -> Iterator[tuple[int, str]]:
    for match in _FORMS.finditer(code):
        kind = match.lastgroup
        if not match.start() % 4 and kind is not None:
            yield match.start(), kind


def _leaves(word: int) -> bool:
    """RET, RETAA, or a branch to another function."""
    return word in (_RET, _RETAA) or word >> 26 == 0b000101


def _frame(code: bytes, at: int, kind: str) -> _Frame | None:
    """The frame that a store of X29 and X30 is in; None if it is another instruction."""
    (word,) = struct.unpack_from("<I", code, at)
    offset = (word >> 15 & 0x7F) * 8
    if kind == "push":
        return _Frame(1024 - offset, 0)
    if kind != "store":
        return None
    # SUB SP, SP, #n before it has made the frame.
    size = 0
    for match in _SUB_SP.finditer(code, 0, at):
        if not match.start() % 4:
            size += struct.unpack_from("<I", code, match.start())[0] >> 10 & 0xFFF
    return _Frame(size, offset) if size >= offset + 16 else None
