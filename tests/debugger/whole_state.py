"""Everything of a guest on the software provider that a restore must put back, to compare."""

from __future__ import annotations

from typing import Any

from guestdbg.debugger import Guest
from guestdbg.debugger.vcpu.resume_state import ResumeState
from guestdbg.kvm.soft.snapshot import snapshots
from guestdbg.kvm.soft.vgic import save as vgic_save
from guestdbg.machine.virtio import Block
from guestdbg.machine.virtio.disk_image import Overlay


def whole_state(guest: Guest, *, memory: bool = True) -> dict[str, Any]:
    """By name; reading it changes nothing but that TLBs are empty, as after a restore."""
    board = guest.board
    vm: Any = board.vm
    state: dict[str, Any] = {}
    if memory:  # as bytes: a digest takes ten times as long
        state |= {region.name: bytes(region.buffer) for region in board.memory}
    for vcpu in vm.soft_vcpus:
        state[f"processor {vcpu.id}"] = bytes(vcpu.cpu.save_state())
        state |= {f"{name} {vcpu.id}": v for name, v in snapshots.vcpu_state(vcpu).items()}
    state |= {
        f"machine's {name}": value
        for name, value in vars(vm).items()
        if name not in snapshots.NOT_SAVED
    }
    if vm.vgic is not None:
        state["interrupt controller"] = vgic_save.save(vm.vgic)
    for device, with_state in zip(board.bus.devices, board.bus.with_state, strict=True):
        state[device.name] = None if with_state is None else with_state.snapshot()
    state["console"] = board.console.snapshot()
    state["clock"] = board.clock.base
    state["turn"] = board.turn, board.turn_vcpu.id
    state["resume states"] = [_resumed(vcpu.resume_state) for vcpu in guest.execution.vcpus]
    state["ended"] = None if guest.ended is None else guest.ended.reason
    state["current"] = guest.execution.current
    return state


def _resumed(state: ResumeState) -> tuple[object, ...]:
    """Without the points and hits, which are objects of one guest."""
    return (
        state.last_stop_pc,
        state.needs_step_over,
        sorted(state.interrupted),
        state.reported_before_access,
        state.waits_for_input,
        None if state.sequence is None else state.sequence.removed,
        len(state.device_hits),
    )


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what is not the same."""
    return [name for name in one | other if one.get(name) != other.get(name)]


def forget(guest: Guest) -> None:
    """Have the next restore compare and set everything, and decode all code anew."""
    vm: Any = guest.board.vm
    snapshots._stop_reading(vm)
    vm.latest_snapshot = None
    vm.phys.code_changed(0, (1 << 64) - 1)
    if vm.vgic is not None:
        vm.vgic.unchanged_since = None
    for transport in guest.board.virtio:
        if isinstance(transport.backend, Block) and isinstance(transport.backend.image, Overlay):
            transport.backend.image._begin(None)
