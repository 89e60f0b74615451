"""Makes random loads and stores land in the oracle's data area: address registers, alignment."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from tests.cpu.cases import CODE, CODE_SIZE, DATA, DATA_SIZE, ONES, Case, State
from tests.cpu.oracle import Oracle, Prepare, Row, rows

MARGIN = 128  # no access is longer than 64 bytes


def field(raw: int, high: int, low: int) -> int:
    return raw >> low & (1 << high - low + 1) - 1


def signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> width - 1 else value


def with_x(state: State, n: int, value: int) -> State:
    """Register n as a base: 31 is SP."""
    if n == 31:
        return replace(state, sp=value & ONES)
    return replace(state, x=(*state.x[:n], value & ONES, *state.x[n + 1 :]))


def is_register_offset(raw: int) -> bool:
    return field(raw, 29, 27) == 0b111 and field(raw, 25, 24) == 0 and field(raw, 21, 21) == 1


def displacement(raw: int) -> int:
    """The constant offset from the base, if it is constant."""
    vector = field(raw, 26, 26)
    if field(raw, 29, 27) == 0b101:  # pairs
        if field(raw, 24, 23) == 1:
            return 0
        scale = 4 << field(raw, 31, 30) if vector else (8 if raw >> 31 else 4)
        return signed(field(raw, 21, 15), 7) * scale
    if field(raw, 29, 27) == 0b111:
        if field(raw, 25, 24) == 1:
            log2 = 4 if vector and field(raw, 23, 23) else field(raw, 31, 30)
            return field(raw, 21, 10) << log2
        if field(raw, 21, 21) == 0 and field(raw, 11, 10) != 1:
            return signed(field(raw, 20, 12), 9)
        if field(raw, 21, 21) and field(raw, 10, 10):  # LDRAA, LDRAB
            return signed(field(raw, 22, 22) << 9 | field(raw, 20, 12), 10) * 8
    return 0  # exclusives, atomics, structures, post-index


def natural(raw: int) -> int:
    """Bytes that an exclusive, ordered or atomic access is aligned to."""
    size = 1 << field(raw, 31, 30)
    if field(raw, 29, 24) == 0b001000 and field(raw, 21, 21):  # pairs (and CAS, whose o2 is set)
        if field(raw, 23, 23):
            return size
        return 16 if field(raw, 30, 30) else 8  # LDXP, STXP, CASP: two of 4 or of 8
    return size


def target(rng: random.Random, data_at: int) -> int:
    """An address that 64 bytes from are in the case's data; often aligned, often across a page."""
    if rng.randrange(3) == 0:
        at = data_at + DATA_SIZE // 2 - rng.randrange(0, 64)
    else:
        at = data_at + rng.randrange(MARGIN, DATA_SIZE - MARGIN)
    return at & ~(rng.choice((1, 4, 8, 16)) - 1)


def random_data(rng: random.Random) -> bytes:
    return rng.randbytes(DATA_SIZE)


def loads_and_stores(*, aligned: bool = False) -> Prepare:
    """Points the base register (and the offset register) so that the access hits the data area.
    aligned: to the access size, for what must be."""

    def prepare(rng: random.Random, case: Case) -> Case:
        raw, state = case.raw, case.state
        rn = field(raw, 9, 5)
        at = target(rng, case.data_at)
        if aligned:
            at &= ~(natural(raw) - 1)
        add = displacement(raw)
        if is_register_offset(raw) and field(raw, 11, 10) == 2:
            rm, option = field(raw, 20, 16), field(raw, 15, 13)
            index = state.x[rm] if rm != 31 else 0
            if option == 2:
                index &= 0xFFFF_FFFF
            elif option == 6:
                index = signed(index & 0xFFFF_FFFF, 32)
            log2 = field(raw, 31, 30)
            if field(raw, 26, 26) and field(raw, 23, 23):
                log2 = 4
            add = index << log2 if field(raw, 12, 12) else index
        return replace(case, state=with_x(state, rn, at - add), data=random_data(rng))

    return prepare


def literals(oracle: Oracle) -> Prepare:
    """Points the literal into the code area, at code placed there before. The place of an
    instruction follows from its number in the batch."""

    def prepare(rng: random.Random, case: Case) -> Case:
        slot = (oracle.slot + 8 * ((case.data_at - DATA) // DATA_SIZE)) % CODE_SIZE
        away = rng.randrange(-(slot // 4), 2) if slot else 0
        assert CODE <= CODE + slot + 4 * away < CODE + CODE_SIZE
        raw = case.raw & ~(0x7FFFF << 5) | (away & 0x7FFFF) << 5
        return replace(case, raw=raw)

    return prepare


# ---- groups of rows -----------------------------------------------------------------------------

_ATOMIC = re.compile(
    r"(LD(ADD|CLR|EOR|SET|SMAX|SMIN|UMAX|UMIN)|SWP|CASP?|LDLAR|STLLR|LDAPR)(B|H|_W|_X)", re.ASCII
)
_ORDERED = re.compile(r"(LDA?X[RP]|STL?X[RP]|LDAR|STLR)(B|H|_W|_X)", re.ASCII)

_AUTHENTICATED = re.compile(r"LDRA[AB](_wb)?", re.ASCII)


def _is_memory(row: Row) -> bool:
    """op0 of the A64 encoding table, x1x0: loads and stores."""
    mask, value = row.mask & 0x0A00_0000, row.value & 0x0A00_0000
    return (mask, value) == (0x0A00_0000, 0x0800_0000)


def _rows(vector: bool) -> list[Row]:
    return rows(lambda row: _is_memory(row) and field(row.value, 26, 26) == vector)


def all_rows() -> list[Row]:
    return rows(_is_memory)


def atomic_rows() -> list[Row]:
    """Later than Armv8.0: LSE, limited ordering regions, FEAT_LRCPC."""
    return [row for row in _rows(False) if _ATOMIC.fullmatch(row.name)]


def ordered_rows() -> list[Row]:
    return [row for row in _rows(False) if _ORDERED.fullmatch(row.name)]


def integer_rows() -> list[Row]:
    """All the others of general-purpose registers."""
    others = (_ATOMIC, _ORDERED, _AUTHENTICATED)
    return [row for row in _rows(False) if not any(it.fullmatch(row.name) for it in others)]


def authenticated_rows() -> list[Row]:
    """FEAT_PAuth's loads."""
    return [row for row in _rows(False) if _AUTHENTICATED.fullmatch(row.name)]


def structure_rows() -> list[Row]:
    return [row for row in _rows(True) if field(row.value, 29, 27) == 1]


def vector_rows() -> list[Row]:
    """SIMD and FP registers, but for structures."""
    return [row for row in _rows(True) if field(row.value, 29, 27) != 1]
