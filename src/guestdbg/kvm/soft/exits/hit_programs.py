"""Hit programs on the soft provider: the processor decides hits (cpu/hit_programs.pyx)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.arm64.exception_class import EC_MASK, EC_SHIFT
from guestdbg.cpu.processor import HitPrograms
from guestdbg.kvm.constants import KVM_GUESTDBG_USE_HW
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import ExitDebug
from guestdbg.kvm.hit_programs import ExitHit
from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS

if TYPE_CHECKING:
    from guestdbg.kvm.hit_programs import HitProgram, InstalledPrograms
    from guestdbg.kvm.soft.state import VcpuState


def install(
    vcpu: VcpuState,
    programs: Sequence[HitProgram],
    excluded: Sequence[tuple[int, int]],
    hidden: Sequence[int],
) -> InstalledPrograms:
    """Give the processor its programs: see ``SupportsHitPrograms``.

    Raises:
        KvmError: EINVAL for a program that could not run.
    """
    try:
        made = HitPrograms(
            [
                (
                    0 if p.kind == "watch" else 1,
                    p.address,
                    p.length,
                    p.access,
                    p.condition,
                    p.buffer,
                    p.registers,
                    p.fields,
                    p.vcpu,
                )
                for p in programs
            ],
            excluded,
            hidden,
        )
    except (ValueError, TypeError, OverflowError, BufferError) as error:
        raise KvmError(errno.EINVAL, "set_hit_programs", str(error)) from error
    vcpu.hit_programs = made if programs else None
    use = programs and vcpu.guest_debug & KVM_GUESTDBG_USE_HW
    vcpu.cpu.set_programs(made if use else None)
    return made


def hit_exit(vcpu: VcpuState) -> ExitHit:
    """The exit for a run that a program ended."""
    assert vcpu.hit_programs is not None
    esr = vcpu.cpu.esr_el2
    debug = EXIT_HANDLERS[esr >> EC_SHIFT & EC_MASK](vcpu, esr)
    assert isinstance(debug, ExitDebug)
    return ExitHit(debug, vcpu.hit_programs.hit())
