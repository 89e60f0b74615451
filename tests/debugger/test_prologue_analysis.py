"""What the instructions of a function say of its frame."""

from __future__ import annotations

from guestdbg.check.assembler import NOP, RET, b
from guestdbg.debugger.unwind.prologue_analysis import FrameState, frame_state

from .assembled import cbnz, words

AT = 0x4008_0000
STP_FRAME = 0xA9BE7BFD  # stp x29, x30, [sp, #-32]!
MOV_FP = 0x910003FD  # mov x29, sp
LDP_FRAME = 0xA8C27BFD  # ldp x29, x30, [sp], #32
SUB_SP = 0xD10103FF  # sub sp, sp, #64
ADD_SP = 0x910103FF  # add sp, sp, #64
STR_LR = 0xF9001BFE  # str x30, [sp, #48]
BL = 0x94000400


def state(code: list[int], index: int) -> FrameState | None:
    return frame_state(words(*code), AT, AT + 4 * index)


def test_frames_through_a_function() -> None:
    code = [NOP, STP_FRAME, MOV_FP, BL, LDP_FRAME, RET]
    assert state(code, 0) == state(code, 1) == FrameState()
    assert state(code, 2) == FrameState(moved=-32, saved_fp=-32, saved_lr=-24)
    assert state(code, 3) == FrameState(moved=-32, fp=-32, saved_fp=-32, saved_lr=-24)
    after = state(code, 5)
    assert after is not None
    assert (after.moved, after.saved_lr, after.written) == (0, None, False)


def test_frames_without_a_frame_pointer() -> None:
    code = [SUB_SP, STR_LR, BL, ADD_SP, RET]
    inside = state(code, 3)
    assert inside is not None
    assert (inside.moved, inside.saved_lr) == (-64, -16)


def test_frames_after_an_early_return() -> None:
    """The code after a return belongs to the path that branched over it."""
    code = [cbnz(0, 20), STP_FRAME, BL, LDP_FRAME, RET, NOP, RET]
    assert state(code, 5) == FrameState()
    assert state(code, 2) == FrameState(moved=-32, saved_fp=-32, saved_lr=-24)
    assert frame_state(words(b(4), RET, NOP), AT, AT + 8) is None
