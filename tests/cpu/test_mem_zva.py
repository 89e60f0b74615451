"""DC ZVA: what it writes, and what comes before."""

from __future__ import annotations

import pytest

from tests.cpu.mem_guest import (
    ALIGNMENT,
    DEVICE,
    EC_DABT,
    EC_DABT_LOWER,
    EC_WATCHPT_LOWER,
    EL0,
    EL1,
    HOLE,
    KERNEL,
    NOBODY,
    READ_ONLY,
    SCTLR,
    SCTLR_A,
    UNKNOWN_PA,
    USER,
    USER_SIZE,
    Guest,
)

DC_ZVA_X0 = 0xD50B_7420
DC_ZVA_XZR = 0xD50B_743F
SCTLR_DZE = 1 << 14


@pytest.fixture
def guest() -> Guest:
    guest = Guest()
    guest.write(USER, b"\xa5" * USER_SIZE)
    return guest


def block_size(guest: Guest) -> int:
    return 4 << (guest.get("DCZID_EL0") & 15)


def test_it_is_64_bytes(guest: Guest) -> None:
    assert block_size(guest) == 64


@pytest.mark.parametrize("offset", [0, 1, 63, 64, 100, 0xFC0, 0xFFF, 0x1000, 0x1FFF])
@pytest.mark.parametrize("sctlr", [SCTLR, SCTLR | SCTLR_A])
def test_zeroes_its_block(guest: Guest, offset: int, sctlr: int) -> None:
    guest.set("SCTLR_EL1", sctlr)
    guest.cpu.set_x(0, USER + offset)
    before = guest.registers()
    assert guest.run(DC_ZVA_X0) is None
    start = offset & ~63
    want = b"\xa5" * start + bytes(64) + b"\xa5" * (USER_SIZE - start - 64)
    assert guest.read(USER, USER_SIZE) == want
    assert guest.registers() == before


@pytest.mark.parametrize("size", [4, 16, 32, 128, 512, 2048])
def test_other_block_sizes(guest: Guest, size: int) -> None:
    """DCZID_EL0.BS as a hypervisor configures it."""
    guest.set("DCZID_EL0", size.bit_length() - 3)
    guest.cpu.set_x(0, USER + 0x1835)
    assert guest.run(DC_ZVA_X0) is None
    start = 0x1835 & ~(size - 1)
    want = b"\xa5" * start + bytes(size) + b"\xa5" * (USER_SIZE - start - size)
    assert guest.read(USER, USER_SIZE) == want


@pytest.mark.parametrize(("address", "fsc"), [(HOLE + 5, 0x07), (READ_ONLY + 70, 0x0F)])
def test_faults(guest: Guest, address: int, fsc: int) -> None:
    """FAR is the address given. It is a write, and not counted as cache maintenance (ISS.CM)."""
    guest.cpu.set_x(0, address)
    taken = guest.run(DC_ZVA_X0)
    assert taken is not None
    assert (taken.el, taken.ec, taken.fsc, taken.far) == (1, EC_DABT, fsc, address)
    assert taken.wnr
    assert not taken.esr >> 8 & 1


def test_xzr_is_an_address(guest: Guest) -> None:
    taken = guest.run(DC_ZVA_XZR)
    assert taken is not None
    assert (taken.ec, taken.far) == (EC_DABT, 0)


def test_permission_at_el0(guest: Guest) -> None:
    guest.set("SCTLR_EL1", SCTLR | SCTLR_DZE)
    guest.cpu.pstate = EL0
    guest.cpu.set_x(0, KERNEL + 8)
    taken = guest.run(DC_ZVA_X0)
    assert taken is not None
    assert (taken.el, taken.ec, taken.fsc, taken.far) == (1, EC_DABT_LOWER, 0x0F, KERNEL + 8)
    guest.cpu.set_x(0, USER + 8)
    assert guest.run(DC_ZVA_X0) is None
    assert guest.read(USER, 64) == bytes(64)
    guest.cpu.pstate = EL1


def test_device_memory(guest: Guest) -> None:
    guest.write(DEVICE, b"\xa5" * 64)
    guest.cpu.set_x(0, DEVICE)
    taken = guest.run(DC_ZVA_X0)
    assert taken is not None
    assert (taken.el, taken.ec, taken.fsc, taken.far) == (1, EC_DABT, ALIGNMENT, DEVICE)
    assert guest.read(DEVICE, 64) == b"\xa5" * 64


def test_nobodys_memory(guest: Guest) -> None:
    guest.cpu.set_x(0, NOBODY + 3)
    taken = guest.run(DC_ZVA_X0)
    assert taken is not None
    assert (taken.el, taken.ec, taken.far) == (2, EC_DABT_LOWER, NOBODY + 3)
    assert guest.cpu.hpfar_el2 == UNKNOWN_PA >> 12 << 4
    assert not taken.isv


@pytest.mark.parametrize("watched", range(0x1F0, 0x260, 8))
@pytest.mark.parametrize("offset", [0x200, 0x220, 0x23F])
def test_watchpoints(guest: Guest, watched: int, offset: int) -> None:
    """A store to all of the block."""
    guest.watch(USER + watched, 2)
    guest.cpu.set_x(0, USER + offset)
    taken = guest.run(DC_ZVA_X0)
    if not 0x200 <= watched < 0x240:
        assert taken is None
        assert guest.read(USER + 0x200, 64) == bytes(64)
        return
    assert taken is not None
    assert (taken.el, taken.ec, taken.wnr) == (2, EC_WATCHPT_LOWER, True)
    assert USER + 0x200 <= taken.far < USER + watched + 8
    assert guest.read(USER, USER_SIZE) == b"\xa5" * USER_SIZE


def test_a_load_watchpoint_does_not_match(guest: Guest) -> None:
    guest.watch(USER + 0x200, 1)
    guest.cpu.set_x(0, USER + 0x200)
    assert guest.run(DC_ZVA_X0) is None


def test_overwrites_code(guest: Guest) -> None:
    """Decoded instructions in the block are dropped."""
    guest.write(USER, b"\x1f\x20\x03\xd5" * 64)  # NOPs
    guest.cpu.pstate = EL0  # EL1 may not execute what EL0 may write
    guest.set("SCTLR_EL1", SCTLR | SCTLR_DZE)
    guest.cpu.pc = USER
    guest.cpu.run(guest.cpu.instructions + 8)
    assert guest.cpu.pc == USER + 32
    guest.cpu.set_x(0, USER)
    assert guest.run(DC_ZVA_X0) is None
    guest.cpu.pc = USER
    guest.cpu.run(guest.cpu.instructions + 1)
    assert guest.get("ELR_EL1") == USER
    assert guest.get("ESR_EL1") == 1 << 25
