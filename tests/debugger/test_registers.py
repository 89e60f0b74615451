"""Registers by name and number."""

from __future__ import annotations

import pytest

from guestdbg.debugger import UnknownRegister

from .conftest import Load


def test_registers(start: Load) -> None:
    guest = start("counter")
    cpu = guest.vcpus[0]
    cpu.x[5] = -1
    assert cpu.x[5] == (1 << 64) - 1
    assert cpu.reg("w5") == 0xFFFF_FFFF
    cpu.set_reg("x6", 0x1234_5678_9ABC_DEF0)
    assert (cpu.x[6], cpu.reg("w6")) == (0x1234_5678_9ABC_DEF0, 0x9ABC_DEF0)
    cpu.set_reg("sp", 0x4001_0000)
    assert cpu.sp == cpu.reg("sp_el1") == 0x4001_0000
    cpu.set_reg("v3", 1 << 127)
    assert cpu.reg("v3") == 1 << 127
    assert cpu.reg("PC") == cpu.pc
    assert cpu.el == 1
    assert len(list(cpu.x)) == len(cpu.x) == 31
    assert cpu.reg("lr") == cpu.x[30]
    with pytest.raises(UnknownRegister, match="X0 to X30"):
        cpu.x[31]
    with pytest.raises(UnknownRegister, match="did you mean"):
        cpu.set_reg("SCTLR_EL", 0)
