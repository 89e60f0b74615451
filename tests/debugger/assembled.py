"""Guests of a few hand-assembled instructions, and a provider without extensions."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from guestdbg.debugger import Guest
from guestdbg.kvm import Device, Exit, GuestDebug, Memory, Vcpu, VcpuEvents, VcpuInit, Vm, open_kvm
from guestdbg.machine import Board, Console

RAM = 0x4000_0000
CODE = RAM + 0x8_0000
VECTORS = CODE + 0x1_0000
DATA = CODE + 0x2_0000

IRQ_LINE_CPU = 0  # KVM_ARM_IRQ_TYPE_CPU << 24 | vCPU << 16 | KVM_ARM_IRQ_CPU_IRQ


def stlxr(status: int, rt: int, rn: int) -> int:
    """STLXR Ws, Xt, [Xn]."""
    return 0xC800FC00 | status << 16 | rn << 5 | rt


def ldaxr(rt: int, rn: int) -> int:
    """LDAXR Xt, [Xn]."""
    return 0xC85FFC00 | rn << 5 | rt


def ldadd(rs: int, rt: int, rn: int) -> int:
    """LDADD Xs, Xt, [Xn] (LSE)."""
    return 0xF8200000 | rs << 16 | rn << 5 | rt


def cbnz_w(rt: int, offset: int) -> int:
    """CBNZ Wt, to ``offset`` bytes from here."""
    return 0x35000000 | (offset >> 2 & 0x7FFFF) << 5 | rt


def cbnz(rt: int, offset: int) -> int:
    """CBNZ Xt."""
    return cbnz_w(rt, offset) | 1 << 31


def subs(rd: int, rn: int, imm: int) -> int:
    """SUB Xd, Xn, #imm (without flags)."""
    return 0xD1000000 | imm << 10 | rn << 5 | rd


def words(*instructions: int) -> bytes:
    return struct.pack(f"<{len(instructions)}I", *instructions)


def assembled(
    code: Sequence[int], vectors: dict[int, Sequence[int]] | None = None, **options: Any
) -> Guest:
    """A guest that begins with ``code`` at CODE; ``vectors`` by their offsets from VECTORS."""
    vcpus = options.pop("vcpus", 1)
    plain = options.pop("plain", False)
    overwatch = options.pop("overwatch", 0)
    use_hit_programs = options.pop("use_hit_programs", None)
    semihosting = options.pop("semihosting", False)
    console = options.pop("console", None)
    # Without an interrupt controller, so that tests can set the IRQ line of a vCPU itself.
    gic = options.pop("gic", None)
    kvm = open_kvm("soft", **options)
    board = Board(kvm, memory_size=16 << 20, vcpus=vcpus, console=Console(console), gic=gic)
    board.write_phys(CODE, words(*code))
    for offset, handler in (vectors or {}).items():
        board.write_phys(VECTORS + offset, words(*handler))
    board.start(CODE)
    if plain:
        make_plain(board)
    return Guest(
        board,
        overwatch=overwatch,
        on_close=kvm.close,
        use_hit_programs=use_hit_programs,
        semihosting=semihosting,
    )


def make_plain(board: Board) -> None:
    """Put something between the board and its provider that has the seam's interface only."""
    board.vm = PlainVm(board.vm)
    board.vcpus = tuple(PlainVcpu(vcpu, board.vm) for vcpu in board.vcpus)


class PlainVm(Vm):
    """A virtual machine without any extension."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm

    @property
    def vcpus(self) -> Sequence[Vcpu]:
        return self._vm.vcpus

    def check_extension(self, cap: int) -> int:
        return self._vm.check_extension(cap)

    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        self._vm.enable_cap(cap, args)

    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        self._vm.set_user_memory_region(slot, guest_phys_addr, memory, flags)

    def get_dirty_log(self, slot: int) -> bytes:
        return self._vm.get_dirty_log(slot)

    def create_vcpu(self, vcpu_id: int = 0) -> Vcpu:
        return self._vm.create_vcpu(vcpu_id)

    def preferred_target(self) -> VcpuInit:
        return self._vm.preferred_target()

    def create_device(self, device_type: int, flags: int = 0) -> Device:
        return self._vm.create_device(device_type, flags)

    def irq_line(self, irq: int, level: int) -> None:
        self._vm.irq_line(irq, level)

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self._vm.set_device_attr(group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        return self._vm.get_device_attr(group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        return self._vm.has_device_attr(group, attr)

    def close(self) -> None:
        self._vm.close()


class PlainVcpu(Vcpu):
    """A vCPU without any extension, that also counts how it is used."""

    def __init__(self, vcpu: Vcpu, vm: Vm) -> None:
        self._vcpu = vcpu
        self._vm = vm
        self.runs = 0
        self.armings: list[GuestDebug] = []

    @property
    def id(self) -> int:
        return self._vcpu.id

    @property
    def vm(self) -> Vm:
        return self._vm

    def init(self, init: VcpuInit) -> None:
        self._vcpu.init(init)

    def get_one_reg(self, reg_id: int) -> int:
        return self._vcpu.get_one_reg(reg_id)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        self._vcpu.set_one_reg(reg_id, value)

    def get_reg_list(self) -> list[int]:
        return self._vcpu.get_reg_list()

    def get_vcpu_events(self) -> VcpuEvents:
        return self._vcpu.get_vcpu_events()

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        self._vcpu.set_vcpu_events(events)

    def get_mp_state(self) -> int:
        return self._vcpu.get_mp_state()

    def set_mp_state(self, state: int) -> None:
        self._vcpu.set_mp_state(state)

    def set_guest_debug(self, debug: GuestDebug) -> None:
        self.armings.append(debug)
        self._vcpu.set_guest_debug(debug)

    def run(self) -> Exit:
        self.runs += 1
        return self._vcpu.run()

    def complete_mmio(self, data: bytes) -> None:
        self._vcpu.complete_mmio(data)

    def kick(self) -> None:
        self._vcpu.kick()

    @property
    def immediate_exit(self) -> bool:
        return self._vcpu.immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        self._vcpu.immediate_exit = value

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self._vcpu.set_device_attr(group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        return self._vcpu.get_device_attr(group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        return self._vcpu.has_device_attr(group, attr)

    def close(self) -> None:
        self._vcpu.close()
