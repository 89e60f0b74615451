"""Where an A64 instruction takes the bytes that it writes from (DDI 0487, C4.1).

For following a value back: of each byte of a register, or of memory, that an instruction writes,
these functions say whether it is a copy of a byte of a register or of memory, a constant, an
extension, or computed. Covered are the base instructions, SIMD and floating point up to Armv9.3
without SVE and SME.

Registers are named "x0" to "x30", "sp" and "v0" to "v31".
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.instructions import InstructionClass, classify
from guestdbg.arm64.loadstore import memory_operand
from guestdbg.arm64.structures import structures

if TYPE_CHECKING:
    from guestdbg.arm64.loadstore import MemoryOperand
    from guestdbg.arm64.structures import Structures

__all__ = [
    "COMPUTED",
    "ByteSource",
    "SourceKind",
    "memory_sources",
    "register_sources",
    "written_by",
]

_X_BYTES, _W_BYTES, _V_BYTES = 8, 4, 16
_ZR = 31


class SourceKind(Enum):
    """What a byte is."""

    REGISTER = "register"
    MEMORY = "memory"
    ZERO = "zero"
    CONSTANT = "constant"
    SIGN = "sign"
    COMPUTED = "computed"


class ByteSource(NamedTuple):
    """Where one byte comes from.

    ``place`` is the number of the byte in the register, or from the address of the access on.
    ZERO is a byte of a zero register, or one that the instruction clears.
    """

    kind: SourceKind
    register: str = ""
    place: int = 0


COMPUTED = ByteSource(SourceKind.COMPUTED)
_ZERO = ByteSource(SourceKind.ZERO)
_CONSTANT = ByteSource(SourceKind.CONSTANT)
_SIGN = ByteSource(SourceKind.SIGN)

_Bytes = list[ByteSource]


def _field(raw: int, high: int, low: int) -> int:
    return raw >> low & ((1 << (high - low + 1)) - 1)


def _x(number: int, *, sp: bool = False) -> str | None:
    if number == _ZR:
        return "sp" if sp else None
    return f"x{number}"


def _from(register: str | None, first: int, count: int) -> _Bytes:
    """Bytes of a register; None is the zero register."""
    if register is None:
        return [_ZERO] * count
    return [ByteSource(SourceKind.REGISTER, register, first + n) for n in range(count)]


def _memory(first: int, count: int) -> _Bytes:
    return [ByteSource(SourceKind.MEMORY, place=first + n) for n in range(count)]


def _filled(found: _Bytes, count: int, fill: ByteSource = _ZERO) -> tuple[ByteSource, ...]:
    return (*found, *([fill] * (count - len(found))))[:count]


# ---- which registers -----------------------------------------------------------------------------

_HYPERVISOR_RESULTS = frozenset({"x0", "x1", "x2", "x3"})
_CALLS_OUTSIDE = (InstructionClass.HYPERVISOR_CALL, InstructionClass.SECURE_CALL)
#: Hints that sign or authenticate a pointer: those of X17, and those of X30.
_HINTS_X17 = frozenset({8, 10, 12, 14})
_HINTS_X30 = frozenset({7, *range(24, 32)})


@lru_cache(maxsize=65536)
def written_by(raw: int) -> frozenset[str] | None:
    """The registers that an instruction may write; None for an encoding that is not known.

    Of HVC and SMC these are the results of the call, of HLT the result of a semihosting call.
    """
    group = raw >> 25 & 15
    if group & 0b1110 == 0b1000:
        return _one(_x(raw & 31, sp=_writes_sp_immediate(raw)))
    if group & 0b1110 == 0b1010:
        return _written_by_branch(raw)
    if group & 0b0101 == 0b0100:
        return _written_by_access(raw)
    if group & 0b0111 == 0b0101:
        return _written_by_register_form(raw)
    if group & 0b0111 == 0b0111:
        return _written_by_simd(raw)
    return None


def _one(register: str | None) -> frozenset[str]:
    return frozenset() if register is None else frozenset({register})


def _writes_sp_immediate(raw: int) -> bool:
    """Whether register 31 is SP: additions and logical operations that do not set the flags."""
    if raw & 0x1F800000 == 0x11000000:
        return raw >> 29 & 1 == 0
    if raw & 0x1F800000 == 0x11800000:  # ADDG, SUBG
        return True
    return raw & 0x1F800000 == 0x12000000 and raw >> 29 & 3 != 3


def _written_by_branch(raw: int) -> frozenset[str]:
    kind = classify(raw)
    if kind is InstructionClass.CALL:
        return frozenset({"x30"})
    if kind in _CALLS_OUTSIDE:
        return _HYPERVISOR_RESULTS
    if kind is InstructionClass.HALT:
        return frozenset({"x0"})
    if raw & 0xFFFFF01F == 0xD503201F:  # hints
        number = _field(raw, 11, 5)
        return _one("x17" if number in _HINTS_X17 else "x30" if number in _HINTS_X30 else None)
    if raw & 0xFFC00000 == 0xD5000000 and raw >> 21 & 1:  # MRS, SYSL
        return _one(_x(raw & 31))
    if raw & 0xFFC00000 == 0xD5400000 and raw >> 21 & 1 and not raw & 1:  # MRRS, a pair
        return frozenset({f"x{raw & 31}", f"x{(raw & 31) + 1}"} - {"x31"})
    return frozenset()


def _written_by_access(raw: int) -> frozenset[str] | None:
    operand = memory_operand(raw)
    if operand is None:
        kind = classify(raw)
        if kind is InstructionClass.PREFETCH:
            return frozenset()
        # LDG and the like; memory copy and set instructions, whose registers are not known here.
        return frozenset({f"x{raw & 31}"} - {"x31"}) if raw >> 24 == 0xD9 else None
    found = {f"x{n}" if n != _ZR else "sp" for n in operand.written}
    if operand.simd and operand.reads:
        found |= {f"v{n}" for n in operand.registers}
    return frozenset(found)


def _written_by_register_form(raw: int) -> frozenset[str]:
    if raw & 0x1FE00000 == 0x1A400000:  # CCMP, CCMN
        return frozenset()
    if raw & 0x1FE00000 == 0x1A000000 and _field(raw, 15, 10) & 0x1F:
        return frozenset()  # RMIF, SETF8, SETF16
    if raw & 0x1FE00000 == 0x0B200000:  # ADD, SUB, extended register
        return _one(_x(raw & 31, sp=raw >> 29 & 1 == 0))
    return _one(_x(raw & 31))


def _written_by_simd(raw: int) -> frozenset[str]:
    if raw & 0x5F200000 == 0x1E000000:  # between floating point and fixed point
        return _one(_x(raw & 31)) if _field(raw, 18, 16) < 2 else _one(f"v{raw & 31}")
    if raw & 0x5F20FC00 == 0x1E200000:  # between floating point and integers
        to_x = _field(raw, 18, 16) in (0, 1, 4, 5, 6)
        return _one(_x(raw & 31)) if to_x else _one(f"v{raw & 31}")
    if raw & 0xFF20FC07 == 0x1E202000 or raw & 0xFF200C00 == 0x1E200400:  # FCMP, FCCMP
        return frozenset()
    if raw & 0xBFE0EC00 == 0x0E002C00:  # SMOV, UMOV
        return _one(_x(raw & 31))
    return frozenset({f"v{raw & 31}"})


# ---- where the bytes of a register come from -----------------------------------------------------


def register_sources(raw: int, register: str, pstate: int) -> tuple[ByteSource, ...] | None:
    """Where the bytes of a register come from: 8 of them, or 16 of a V register.

    ``pstate`` is PSTATE before the instruction, on which conditional selects depend. None: it does
    not write the register.
    """
    written = written_by(raw)
    if written is not None and register not in written:
        return None
    size = _V_BYTES if register[0] == "v" else _X_BYTES
    found = None if written is None else _register_bytes(raw, register, pstate)
    return _filled([] if found is None else found, size, COMPUTED if found is None else _ZERO)


def _register_bytes(raw: int, register: str, pstate: int) -> _Bytes | None:
    """The same up to the last byte that is not cleared; None: all are computed."""
    group = raw >> 25 & 15
    if group & 0b1110 == 0b1000:
        return _immediate_form(raw)
    if group & 0b1110 == 0b1010:
        # A call: the return address.
        return [_CONSTANT] * _X_BYTES if classify(raw) is InstructionClass.CALL else None
    if group & 0b0101 == 0b0100:
        return _loaded(raw, register)
    if group & 0b0111 == 0b0101:
        return _register_form(raw, pstate)
    return _simd_form(raw, register)


def _width(raw: int) -> int:
    return _X_BYTES if raw >> 31 else _W_BYTES


def _immediate_form(raw: int) -> _Bytes | None:
    width = _width(raw)
    rn = raw >> 5 & 31
    if raw & 0x1F000000 == 0x10000000:  # ADR, ADRP
        return [_CONSTANT] * _X_BYTES
    if raw & 0x7F800000 == 0x11000000 and not _field(raw, 21, 10):  # ADD #0: MOV to or from SP
        return _from(_x(rn, sp=True), 0, width)
    if raw & 0x1F800000 == 0x12800000:
        return _move_wide(raw, width)
    if raw & 0x1F800000 == 0x12000000:
        return _logical_immediate(raw, width)
    if raw & 0x1F800000 == 0x13000000:
        return _bit_field(raw, width)
    if raw & 0x7FA00000 == 0x13800000:  # EXTR
        return _extracted(raw, width)
    return None


def _move_wide(raw: int, width: int) -> _Bytes:
    if _field(raw, 30, 29) != 3:  # MOVN, MOVZ
        return [_CONSTANT] * width
    found = _from(_x(raw & 31), 0, width)
    first = _field(raw, 22, 21) * 2
    found[first : first + 2] = [_CONSTANT] * 2
    return found[:width]


def _logical_immediate(raw: int, width: int) -> _Bytes | None:
    opc, rn = _field(raw, 30, 29), raw >> 5 & 31
    if opc == 1 and rn == _ZR:  # ORR: MOV of a bit mask
        return [_CONSTANT] * width
    mask = _bit_mask(raw, width)
    if opc != 0 or mask is None:
        return None
    parts = [mask >> 8 * n & 0xFF for n in range(width)]
    if any(part not in (0, 0xFF) for part in parts):
        return None
    source = _from(_x(rn), 0, width)
    return [byte if part else _ZERO for byte, part in zip(source, parts, strict=True)]


def _bit_mask(raw: int, width: int) -> int | None:
    """The immediate of a logical instruction: DecodeBitMasks() of the manual."""
    immr, imms = _field(raw, 21, 16), _field(raw, 15, 10)
    length = ((raw >> 22 & 1) << 6 | (~imms & 0x3F)).bit_length() - 1
    if length < 1:
        return None
    size = 1 << length
    ones, rotation = (imms & (size - 1)) + 1, immr & (size - 1)
    if ones == size or size > 8 * width:
        return None
    element = (1 << ones) - 1
    element = (element >> rotation | element << size - rotation) & (1 << size) - 1
    mask = 0
    for at in range(0, 8 * width, size):
        mask |= element << at
    return mask


def _bit_field(raw: int, width: int) -> _Bytes | None:
    """SBFM, BFM and UBFM where they move whole bytes: shifts and extensions."""
    opc, immr, imms = _field(raw, 30, 29), _field(raw, 21, 16), _field(raw, 15, 10)
    if imms >= immr:
        first, at, count = immr, 0, imms - immr + 1
    else:
        first, at, count = 0, 8 * width - immr, imms + 1
    if first % 8 or at % 8 or count % 8 or opc == 3:
        return None
    first, at, count = first // 8, at // 8, count // 8
    moved = _from(_x(raw >> 5 & 31), first, count)
    if opc == 1:
        found = _from(_x(raw & 31), 0, width)
        found[at : at + count] = moved
        return found
    fill = _SIGN if opc == 0 else _ZERO
    return list(_filled([*([_ZERO] * at), *moved], width, fill))


def _extracted(raw: int, width: int) -> _Bytes | None:
    least = _field(raw, 15, 10)
    if least % 8:
        return None
    both = _from(_x(raw >> 16 & 31), 0, width) + _from(_x(raw >> 5 & 31), 0, width)
    return both[least // 8 : least // 8 + width]


def _register_form(raw: int, pstate: int) -> _Bytes | None:
    width, rn, rm = _width(raw), raw >> 5 & 31, raw >> 16 & 31
    if raw & 0x7F200000 == 0x2A000000 and rn == _ZR:  # ORR: MOV, or a shift
        return _shifted(_from(_x(rm), 0, width), _field(raw, 23, 22), _field(raw, 15, 10))
    if raw & 0x3FE00800 == 0x1A800000:  # CSEL, CSINC, CSINV, CSNEG
        plain = not raw >> 30 & 1 and not raw >> 10 & 1
        if rn == rm == _ZR and not plain:
            return None  # CSET, CSETM: the result of a comparison
        if condition_holds(_field(raw, 15, 12), pstate):
            return _from(_x(rn), 0, width)
        return _from(_x(rm), 0, width) if plain else None
    return None


def _shifted(source: _Bytes, kind: int, amount: int) -> _Bytes | None:
    if amount % 8:
        return None
    count, width = amount // 8, len(source)
    if kind == 0:
        return [*([_ZERO] * count), *source][:width]
    if kind == 3:
        return source[count:] + source[:count]
    return list(_filled(source[count:], width, _SIGN if kind == 2 else _ZERO))


def condition_holds(condition: int, pstate: int) -> bool:
    """ConditionHolds() of the manual, by the flags in bits 31 to 28."""
    n, z, c, v = (pstate >> bit & 1 for bit in (31, 30, 29, 28))
    held = (z, c, n, v, c & (1 - z), n == v, n == v and not z, 1)[condition >> 1]
    return bool(held) != (bool(condition & 1) and condition != 15)


# ---- SIMD and floating point ---------------------------------------------------------------------

#: FMOV between general-purpose and SIMD&FP registers: (bytes, first byte of the V register, to X).
_FMOV_GENERAL = {
    0x1EE60000: (2, 0, True),
    0x9EE60000: (2, 0, True),
    0x1EE70000: (2, 0, False),
    0x9EE70000: (2, 0, False),
    0x1E260000: (4, 0, True),
    0x1E270000: (4, 0, False),
    0x9E660000: (8, 0, True),
    0x9E670000: (8, 0, False),
    0x9EAE0000: (8, 8, True),
    0x9EAF0000: (8, 8, False),
}


def _simd_form(raw: int, register: str) -> _Bytes | None:
    rn = raw >> 5 & 31
    found = _FMOV_GENERAL.get(raw & 0xFFFFFC00)
    if found is not None:
        size, first, to_x = found
        if to_x:
            return _from(f"v{rn}", first, size)
        kept = _from(register, 0, first)  # FMOV to the upper half leaves the lower one
        return kept + _from(_x(rn), 0, size)
    if raw & 0xBFE0FC00 == 0x0EA01C00 and rn == raw >> 16 & 31:  # ORR: MOV (vector)
        return _from(f"v{rn}", 0, 16 if raw >> 30 & 1 else 8)
    if raw & 0xFF3FFC00 == 0x1E204000:  # FMOV (register)
        return _from(f"v{rn}", 0, (4, 8, 0, 2)[_field(raw, 23, 22)])
    if raw & 0xFF201FE0 == 0x1E201000:  # FMOV (scalar, immediate)
        return [_CONSTANT] * (4, 8, 0, 2)[_field(raw, 23, 22)]
    if raw & 0x9FF80400 == 0x0F000400:  # MOVI, MVNI, FMOV, ORR, BIC (vector, immediate)
        cmode = _field(raw, 15, 12)
        return None if cmode & 1 and cmode < 12 else [_CONSTANT] * (16 if raw >> 30 & 1 else 8)
    return _lane_form(raw, register)


def _lane_form(raw: int, register: str) -> _Bytes | None:
    """DUP, INS, SMOV and UMOV: single lanes."""
    rn, imm5 = raw >> 5 & 31, raw >> 16 & 31
    size = imm5 & -imm5
    if not size or size > 8:
        return None
    lane = imm5 // (2 * size) * size
    whole = 16 if raw >> 30 & 1 else 8
    if raw & 0xBFE0FC00 == 0x0E003C00:  # UMOV
        return _from(f"v{rn}", lane, size)
    if raw & 0xBFE0FC00 == 0x0E002C00:  # SMOV
        return list(_filled(_from(f"v{rn}", lane, size), whole // 2, _SIGN))
    if raw & 0xFFE0FC00 == 0x5E000400:  # DUP (element), scalar
        return _from(f"v{rn}", lane, size)
    if raw & 0xBFE0FC00 == 0x0E000400:  # DUP (element), vector
        return _from(f"v{rn}", lane, size) * (whole // size)
    if raw & 0xBFE0FC00 == 0x0E000C00:  # DUP (general)
        return _from(_x(rn), 0, size) * (whole // size)
    inserted: _Bytes
    if raw & 0xFFE0FC00 == 0x4E001C00:  # INS (general)
        inserted = _from(_x(rn), 0, size)
    elif raw & 0xFFE08400 == 0x6E000400:  # INS (element)
        inserted = _from(f"v{rn}", _field(raw, 14, 11) // size * size, size)
    else:
        return None
    found = _from(register, 0, _V_BYTES)
    found[lane : lane + size] = inserted
    return found


# ---- memory --------------------------------------------------------------------------------------


def _loaded(raw: int, register: str) -> _Bytes | None:
    operand = memory_operand(raw)
    if operand is None or not operand.reads:
        return None
    if operand.simd != (register[0] == "v"):
        return None  # the base, which is written back
    number = int(register[1:]) if register != "sp" else _ZR
    layout = structures(raw)
    if layout is not None:
        return _structure_loaded(layout, number, register)
    place = _place_loaded(raw, operand, number)
    if place is None:
        return None
    element = _element(operand)
    found = _memory(place * element, element)
    extended = _signed_load(raw, operand)
    return list(_filled(found, extended, _SIGN)) if extended else found


def _element(operand: MemoryOperand) -> int:
    """The bytes of one data register."""
    return operand.element or operand.size


def _place_loaded(raw: int, operand: MemoryOperand, number: int) -> int | None:
    """Which of the data in memory a register gets; None: it is not one that is loaded."""
    registers = operand.registers
    if not operand.writes:
        return registers.index(number) if number in registers else None
    swaps = _swap(raw)
    if swaps is None or operand.simd or number not in swaps.loaded:
        return None
    return swaps.loaded.index(number)


class _Swap(NamedTuple):
    """An atomic: the registers that get what was in memory, and those whose contents it gets."""

    loaded: Sequence[int]
    stored: Sequence[int]


def _swap(raw: int) -> _Swap | None:
    """An atomic of one or two registers; ``stored`` is empty where it computes."""
    operand = memory_operand(raw)
    if operand is None or operand.simd or not (operand.reads and operand.writes):
        return None
    registers = operand.registers
    if raw & 0x3F000000 == 0x08000000:  # CAS, CASP
        half = len(registers) // 2
        return _Swap(registers[:half], registers[half:])
    if raw & 0x3F200C00 == 0x38200000:  # LDADD and the like, SWP
        swaps = raw >> 15 & 1 and not _field(raw, 14, 12)
        return _Swap(registers[1:], registers[:1] if swaps else ())
    return None


def _signed_load(raw: int, operand: MemoryOperand) -> int:
    """To how many bytes a load of X registers extends the sign; 0: it does not."""
    if operand.simd or operand.exclusive or operand.writes or operand.authenticated:
        return 0
    if raw & 0x3A000000 == 0x28000000:  # pairs: LDPSW
        return _X_BYTES if raw >> 30 == 1 else 0
    if raw & 0x3B000000 == 0x18000000:  # literals: LDRSW
        return _X_BYTES if raw >> 30 == 2 else 0
    if raw & 0x3F000000 == 0x08000000:
        return 0
    if raw & 0x3F200C00 in (0x38200000, 0x19000800):  # LDAPR, LD64B; pairs of LRCPC3
        return 0
    opc = _field(raw, 23, 22)
    return (0, 0, _X_BYTES, _W_BYTES)[opc]


def _structure_loaded(layout: Structures, number: int, register: str) -> _Bytes | None:
    places = layout.places(number)
    if not places:
        return None
    if layout.lane is not None and not layout.replicated:
        found = _from(register, 0, _V_BYTES)
    else:
        found = [_ZERO] * _V_BYTES
    for byte, offset in places:
        found[byte] = ByteSource(SourceKind.MEMORY, place=offset)
    return found


def memory_sources(raw: int) -> tuple[ByteSource, ...] | None:
    """Where the bytes come from that a store or atomic writes, from its address on.

    Of DC ZVA one byte for all. None: it writes no memory, or it is not known.
    """
    if classify(raw) is InstructionClass.STORE and memory_operand(raw) is None:
        return (_ZERO,)
    operand = memory_operand(raw)
    if operand is None or not operand.writes:
        return None
    layout = structures(raw)
    if layout is not None:
        found = [COMPUTED] * operand.total
        for n in range(layout.registers):
            number = (layout.first + n) % 32
            for byte, offset in layout.places(number):
                found[offset] = ByteSource(SourceKind.REGISTER, f"v{number}", byte)
        return tuple(found)
    registers: Sequence[int] = operand.registers
    if operand.reads:
        swaps = _swap(raw)
        registers = () if swaps is None else swaps.stored
    if not registers:
        kind = COMPUTED if operand.reads else _ZERO  # STZG and the like clear
        return (kind,) * operand.total
    found = []
    for number in registers:
        name = f"v{number}" if operand.simd else _x(number)
        found += _from(name, 0, _element(operand))
    return _filled(found, operand.total, COMPUTED)
