"""Guest memory by virtual address, with and without page tables."""

from __future__ import annotations

import pytest

from guestdbg.debugger import AddressError, BadRange

from .conftest import Load


def test_memory_is_read_and_written(start: Load) -> None:
    guest = start("counter")
    address = guest.symbol("table").address
    for size in (8, 16, 32, 64):
        write, read = getattr(guest, f"write_u{size}"), getattr(guest, f"read_u{size}")
        write(address, -2)
        assert read(address) == (1 << size) - 2
        with pytest.raises(BadRange):
            write(address, 1 << size)
    guest.write(address, bytes(range(200)))
    assert guest.read(address, 200) == bytes(range(200))
    with pytest.raises(AddressError, match="no memory at 0x1000"):
        guest.read(0x1000, 4)
    with pytest.raises(AddressError):
        guest.write(0x1000, b"x")
    with pytest.raises(AddressError, match="64 bits"):
        guest.read(1 << 64, 1)
    with pytest.raises(BadRange):
        guest.read(address, -1)


def test_memory_through_the_guests_page_tables(start: Load) -> None:
    guest = start("mmu")
    kernel = guest.symbol("main").address
    assert kernel >> 48 == 0xFFFF
    with pytest.raises(AddressError):
        guest.read(kernel, 4)  # not mapped before the MMU is on
    guest.run(until="user_enter", timeout=60)
    physical = guest.translate(kernel)
    assert physical == kernel - 0xFFFF_FF80_0000_0000
    assert guest.read(kernel, 64) == guest.board.read_phys(physical, 64)
    # A page for EL0 that the guest maps, by its two virtual addresses.
    data = guest.symbol("user_data").address
    assert guest.read(0x401000, 128) == guest.read(data, 128)
    assert guest.read_u64(0x401008) == 1
    guest.write_u64(0x401008, 99)
    assert guest.read_u64(data + 8) == 99
    with pytest.raises(AddressError, match="not mapped"):
        guest.read(0x402000, 1)
    with pytest.raises(AddressError, match="not mapped"):
        guest.read(0x401FF8, 16)  # the second half is not mapped
    with pytest.raises(AddressError):
        guest.write(0x401FF8, bytes(16))
    assert guest.read_u64(0x401FF8) == guest.read_u64(data + 0xFF8)
    # An unmapped page cannot be read any more, although it was read before.
    level3 = guest.symbol("level3").address
    guest.write_u64(level3 + 8, 0)
    with pytest.raises(AddressError):
        guest.read(0x401000, 1)
