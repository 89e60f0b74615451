"""What loads and stores access, computed from the registers before them."""

from __future__ import annotations

from guestdbg.check.assembler import NOP, ldp, ldr, stp, str_
from guestdbg.debugger.vcpu.access_decoder import access_plan
from guestdbg.kvm.regs import X

from .assembled import ldaxr, stlxr


def test_what_an_instruction_accesses() -> None:
    stp_frame = 0xA9BE7BFD  # stp x29, x30, [sp, #-32]!
    regs = {X[1]: 0x1000, X[2]: 0x20}

    def get(reg: int) -> int:
        return regs[reg]

    def sp() -> int:
        return 0x8000

    assert access_plan(str_(0, 1, 8)).touched(get, sp) == (0x1008, 8, 2)
    assert access_plan(ldr(0, 1, 8)).touched(get, sp) == (0x1008, 8, 1)
    assert access_plan(stp(0, 3, 1)).touched(get, sp) == (0x1000, 16, 2)
    assert access_plan(ldp(0, 3, 1)).touched(get, sp) == (0x1000, 16, 1)
    assert access_plan(stp_frame).touched(get, sp) == (0x8000 - 32, 16, 2)
    assert access_plan(0xB8226820).touched(get, sp) == (0x1020, 4, 2)  # str w0, [x1, x2]
    assert access_plan(NOP).touched(get, sp) is None
    assert access_plan(ldaxr(0, 1)).exclusive
    assert access_plan(stlxr(2, 0, 1)).store_exclusive
    assert access_plan(stlxr(2, 0, 1)).status == 2
