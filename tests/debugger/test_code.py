"""What the debugger reads out of code: exclusive sequences, frames, accesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import exclusive_sequence
from guestdbg.check.assembler import NOP, RET, add, b, br, ldp, ldr, stp, str_, svc
from guestdbg.debugger.unwind.prologue_analysis import FrameState, frame_state
from guestdbg.debugger.vcpu.access_decoder import access_plan
from guestdbg.kvm.regs import core_reg

from .assembled import cbnz, cbnz_w, ldaxr, stlxr, words

AT = 0x4008_0000
STP_FRAME = 0xA9BE7BFD  # stp x29, x30, [sp, #-32]!
MOV_FP = 0x910003FD  # mov x29, sp
LDP_FRAME = 0xA8C27BFD  # ldp x29, x30, [sp], #32
SUB_SP = 0xD10103FF  # sub sp, sp, #64
ADD_SP = 0x910103FF  # add sp, sp, #64
STR_LR = 0xF9001BFE  # str x30, [sp, #48]
BL = 0x94000400


def find(code: list[int], index: int) -> exclusive_sequence.Sequence | None:
    def word(address: int) -> int | None:
        n, rest = divmod(address - AT, 4)
        return code[n] if 0 <= n < len(code) and not rest else None

    return exclusive_sequence.find(AT + 4 * index, word)


def test_a_counter() -> None:
    code = [NOP, ldaxr(0, 1), add(0, 0, 1), stlxr(2, 0, 1), cbnz_w(2, -12), NOP]
    for index in range(1, 4):
        found = find(code, index)
        assert found is not None
        assert (found.load, found.store, found.last) == (AT + 4, AT + 12, AT + 16)
        assert found.exits == (AT + 20,)
        assert found.status == 2
    assert find(code, 0) is None
    assert find(code, 4) is None
    assert find(code, 5) is None


def test_a_lock_that_gives_up() -> None:
    """Branches out of the sequence are exits, and a retry may begin before the load."""
    code = [NOP, ldaxr(0, 1), cbnz(0, 16), stlxr(2, 3, 1), cbnz_w(2, -16), NOP, NOP]
    found = find(code, 1)
    assert found is not None
    assert found.start == AT
    assert found.exits == (AT + 20, AT + 24)


def test_spinning_within() -> None:
    code = [ldaxr(0, 1), cbnz(0, -4), stlxr(2, 3, 1), cbnz_w(2, -12), NOP]
    found = find(code, 0)
    assert found is not None
    assert found.exits == (AT + 16,)


@pytest.mark.parametrize("inside", [RET, br(3), svc(), BL])
def test_code_that_leaves_otherwise_is_no_sequence(inside: int) -> None:
    assert find([ldaxr(0, 1), inside, stlxr(2, 3, 1), NOP], 0) is None
    assert find([ldaxr(0, 1), inside, stlxr(2, 3, 1), NOP], 2) is None


def test_a_load_without_a_store_and_the_other_way_round() -> None:
    assert find([ldaxr(0, 1), NOP, NOP], 0) is None
    assert find([NOP, stlxr(2, 3, 1), NOP], 1) is None
    # Two loads: the first belongs to nothing.
    assert find([ldaxr(0, 1), ldaxr(0, 2), stlxr(2, 3, 1), NOP], 0) is None


@given(st.lists(st.integers(0, 0xFFFF_FFFF), max_size=40), st.integers(0, 39))
def test_any_code_at_all(code: list[int], index: int) -> None:
    found = find(code, index)
    if found is not None:
        assert found.start <= found.load <= found.store <= found.last
        assert found.exits
        assert not any(found.start <= e <= found.last for e in found.exits)


def state(code: list[int], index: int) -> FrameState | None:
    return frame_state(words(*code), AT, AT + 4 * index)


def test_frames_through_a_function() -> None:
    code = [NOP, STP_FRAME, MOV_FP, BL, LDP_FRAME, RET]
    assert state(code, 0) == state(code, 1) == FrameState()
    assert state(code, 2) == FrameState(moved=-32, saved_fp=-32, saved_lr=-24)
    assert state(code, 3) == FrameState(moved=-32, fp=-32, saved_fp=-32, saved_lr=-24)
    behind = state(code, 5)
    assert behind is not None
    assert (behind.moved, behind.saved_lr, behind.written) == (0, None, False)


def test_frames_without_a_frame_pointer() -> None:
    code = [SUB_SP, STR_LR, BL, ADD_SP, RET]
    inside = state(code, 3)
    assert inside is not None
    assert (inside.moved, inside.saved_lr) == (-64, -16)


def test_frames_behind_an_early_return() -> None:
    """The code behind a return belongs to the path that branched over it."""
    code = [cbnz(0, 20), STP_FRAME, BL, LDP_FRAME, RET, NOP, RET]
    assert state(code, 5) == FrameState()
    assert state(code, 2) == FrameState(moved=-32, saved_fp=-32, saved_lr=-24)
    assert frame_state(words(b(4), RET, NOP), AT, AT + 8) is None


def test_plans() -> None:
    regs = {core_reg("x1"): 0x1000, core_reg("x2"): 0x20, core_reg("x31" if False else "pc"): AT}

    def get(reg: int) -> int:
        return regs[reg]

    def sp() -> int:
        return 0x8000

    assert access_plan(str_(0, 1, 8)).touched(get, sp) == (0x1008, 8, 2)
    assert access_plan(ldr(0, 1, 8)).touched(get, sp) == (0x1008, 8, 1)
    assert access_plan(stp(0, 3, 1)).touched(get, sp) == (0x1000, 16, 2)
    assert access_plan(ldp(0, 3, 1)).touched(get, sp) == (0x1000, 16, 1)
    assert access_plan(STP_FRAME).touched(get, sp) == (0x8000 - 32, 16, 2)
    assert access_plan(0xB8226820).touched(get, sp) == (0x1020, 4, 2)  # str w0, [x1, x2]
    assert access_plan(NOP).touched(get, sp) is None
    assert access_plan(ldaxr(0, 1)).exclusive
    assert access_plan(stlxr(2, 0, 1)).store_exclusive
    assert access_plan(stlxr(2, 0, 1)).status == 2
