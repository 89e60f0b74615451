"""SupportsFirstException and SupportsUndefinedInstructions at the interface itself."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator

import pytest

from guestdbg.kvm import (
    FirstException,
    KvmError,
    SupportsFirstException,
    SupportsUndefinedInstructions,
    Vcpu,
    Vm,
    open_kvm,
)
from guestdbg.kvm.regs import SPSR_EL1, core_reg, sys_reg

RAM, VECTORS = 0x4000_0000, 0x4000_1000
PC, PSTATE = core_reg("pc"), core_reg("pstate")
ERET, NOP, SVC, UDF, SELF = 0xD69F03E0, 0xD503201F, 0xD4000001, 0, 0x14000000
SVE_ADD = 0x04E00000


@pytest.fixture
def machine() -> Iterator[tuple[Vm, Vcpu, bytearray]]:
    kvm = open_kvm("soft")
    vm = kvm.create_vm()
    ram = bytearray(0x4000)
    vm.set_user_memory_region(0, RAM, ram)
    vcpu = vm.create_vcpu()
    vcpu.init(vm.preferred_target())
    vcpu.set_one_reg(PC, RAM)
    vcpu.set_one_reg(sys_reg("VBAR_EL1"), VECTORS)
    yield vm, vcpu, ram
    vm.close()
    kvm.close()


def put(ram: bytearray, address: int, *instructions: int) -> None:
    data = struct.pack(f"<{len(instructions)}I", *instructions)
    ram[address - RAM : address - RAM + len(data)] = data


def run(vcpu: Vcpu, instructions: int) -> FirstException | None:
    assert isinstance(vcpu, SupportsFirstException)
    vcpu.max_instructions = vcpu.instructions + instructions  # type: ignore[attr-defined]
    vcpu.run()
    return vcpu.first_exception


def test_nothing_at_first_and_after_a_return(machine: tuple[Vm, Vcpu, bytearray]) -> None:
    _, vcpu, ram = machine
    put(ram, RAM, NOP, SVC, SELF)
    put(ram, VECTORS + 0x200, NOP, ERET)
    assert run(vcpu, 1) is None
    first = run(vcpu, 2)
    assert first is not None
    assert (first.pc, first.elr, first.count) == (RAM + 4, RAM + 8, 1)
    assert (first.vector, first.far, first.esr >> 26) == (VECTORS + 0x200, None, 0x15)
    assert first.spsr == vcpu.get_one_reg(SPSR_EL1)
    assert run(vcpu, 1) is None


def test_exceptions_from_el0_begin_again(machine: tuple[Vm, Vcpu, bytearray]) -> None:
    """The kernel's handler for EL0 has come far: what it takes then is its own."""
    _, vcpu, ram = machine
    vcpu.set_one_reg(PSTATE, 0x3C0)
    put(ram, RAM, SVC)
    put(ram, VECTORS + 0x400, *[NOP] * 20, 0x14000200)  # on, 0x800 bytes further
    put(ram, VECTORS + 0x400 + 80 + 0x800, *[NOP] * 40, UDF)
    put(ram, VECTORS + 0x200, NOP, UDF)
    first = run(vcpu, 500)
    assert first is not None
    assert first.pc == VECTORS + 0x400 + 80 + 0x800 + 160
    assert first.count > 100


def test_an_early_fault_of_the_handler_for_el0_is_part_of_the_call(
    machine: tuple[Vm, Vcpu, bytearray],
) -> None:
    _, vcpu, ram = machine
    vcpu.set_one_reg(PSTATE, 0x3C0)
    put(ram, RAM, SVC)
    put(ram, VECTORS + 0x400, NOP, UDF)
    put(ram, VECTORS + 0x200, NOP, UDF)
    first = run(vcpu, 500)
    assert first is not None
    assert first.pc == RAM


def test_a_reset_forgets(machine: tuple[Vm, Vcpu, bytearray]) -> None:
    vm, vcpu, ram = machine
    put(ram, RAM, SVC)
    put(ram, VECTORS + 0x200, SELF)
    assert run(vcpu, 5) is not None
    vcpu.init(vm.preferred_target())
    assert isinstance(vcpu, SupportsFirstException)
    assert vcpu.first_exception is None
    vcpu.close()
    with pytest.raises(KvmError):
        _ = vcpu.first_exception


def test_undefined_instructions_are_handed_over(
    machine: tuple[Vm, Vcpu, bytearray], caplog: pytest.LogCaptureFixture
) -> None:
    vm, vcpu, ram = machine
    heard: list[tuple[int, int]] = []
    assert isinstance(vm, SupportsUndefinedInstructions)
    vm.on_undefined = lambda _vcpu, encoding, pc: heard.append((encoding, pc))
    put(ram, RAM, SVE_ADD)
    put(ram, VECTORS + 0x200, 0xD5182100, SELF)  # msr apiakeylo_el1, x0
    put(ram, VECTORS + 0x200, SVE_ADD | 1, SELF)
    run(vcpu, 50)
    assert heard[0] == (SVE_ADD, RAM)
    assert (SVE_ADD | 1, VECTORS + 0x200) in heard
    assert not caplog.records


def test_without_a_listener_they_are_logged_within_bounds(
    machine: tuple[Vm, Vcpu, bytearray], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "guestdbg.kvm")
    _, vcpu, ram = machine
    # Skips what is undefined; each run reports at most 32 encodings.
    put(ram, VECTORS + 0x200, 0xD538402A, 0x9100114A, 0xD518402A, ERET)
    put(ram, RAM, *(SVE_ADD | n & 31 | n >> 5 << 16 for n in range(900)), SELF)
    for _ in range(100):
        run(vcpu, 100)
    assert 200 < len(caplog.records) <= 257
    assert "no more" in caplog.records[-1].getMessage()
