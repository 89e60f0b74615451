"""Semihosting calls caught at the exception vectors, where the provider does not exit at HLT.

HLT #0xF000 is UNDEFINED to the guest of a KVM: it takes a synchronous exception to EL1 with the
exception class 0 (DDI 0487, D1.3, and D24.2.40, "ESR_EL1"). Breakpoints at the two vectors of such
exceptions from EL1 stop the guest there, before the first instruction of the vector. The vCPU is
then put back to the HLT, as if the HLT itself had made an exit. What the exception has overwritten
in ELR_EL1, SPSR_EL1 and ESR_EL1 is lost.

VBAR_EL1 is read whenever the vCPU is resumed or stepped. A guest that sets it and makes a call
without any exit between would be missed: breakpoints at the instructions that write VBAR_EL1, as
far as they are in the guest's file, make that exit.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from guestdbg.arm64.pstate import exception_level
from guestdbg.debugger.errors import AddressError, OutOfRegisters
from guestdbg.kvm import ExitHlt
from guestdbg.kvm.regs import ELR_EL1, PC, PSTATE, SPSR_EL1, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.memory.address_space import AddressSpace
    from guestdbg.kvm import Vcpu
    from guestdbg.machine import Board, Segment

__all__ = ["REGISTERS_NEEDED", "VECTOR_TABLE_BYTES", "VectorCatch", "vbar_writes"]

log = logging.getLogger(__name__)

#: The breakpoint registers that catching calls takes at least.
REGISTERS_NEEDED = 2
#: The size and alignment of the exception vectors that VBAR_EL1 points to.
VECTOR_TABLE_BYTES = 0x800

_VBAR_EL1, _ESR_EL1, _SCTLR_EL1 = (
    sys_reg("VBAR_EL1"),
    sys_reg("ESR_EL1"),
    sys_reg("SCTLR_EL1"),
)
_U64 = (1 << 64) - 1
#: From VBAR_EL1 to the vectors of synchronous exceptions from EL1: with SP_ELx, with SP_EL0.
_VECTORS = (0x200, 0)
#: ESR_EL1 of an UNDEFINED exception: class 0, and IL (always set with this class).
_UNDEFINED = 1 << 25
_SCTLR_M = 1
# SPSR bits that the instruction after a completed HLT must not see: SS is the debugger's, and
# BTYPE is 0 after anything but an indirect branch.
_SS, _BTYPE = 1 << 21, 3 << 10
_HLT, _HLT_MASK = 0xD4400000, 0xFFE0001F
#: MSR VBAR_EL1, Xt as bytes in memory; the lowest five bits are Xt.
_MSR_VBAR = re.compile(rb"[\x00-\x1f]\xc0\x18\xd5", re.DOTALL)
_CHUNK = 1 << 20


def vbar_writes(board: Board, segments: Sequence[Segment]) -> list[int]:
    """The addresses of the instructions that write VBAR_EL1, physical and as they were linked.

    They are searched for in the guest's segments, or in all of the RAM if it has none.
    """
    ram = board.ram.base
    parts = [(s.address, s.file_size, s.virtual) for s in segments] or [
        (ram, board.memory_size, ram)
    ]
    found: dict[int, None] = {}
    for start, size, virtual in parts:
        for at in range(start, start + size, _CHUNK):
            data = board.read_phys(at, min(_CHUNK, start + size - at))
            for match in _MSR_VBAR.finditer(data):
                address = at + match.start()
                if not address & 3:
                    found[address] = None
                    found[address - start + virtual & _U64] = None
    return [address for address in found if not address & 3]


class VectorCatch:
    """Catches the calls with one immediate of HLT, on all vCPUs of a guest.

    Args:
        immediate: the immediate of the HLT.
        spare: a guest-physical address in RAM, aligned to 2 KiB, where no code is. A vCPU whose
            VBAR_EL1 is 0 as after a reset has no memory at its vectors: fetching there faults
            before a breakpoint could be hit. VBAR_EL1 gets this value then.
        catch: arms breakpoints of EL1 at these addresses. Raises OutOfRegisters.
    """

    def __init__(self, immediate: int, spare: int, catch: Callable[[Sequence[int]], None]) -> None:
        self._immediate = immediate
        self._spare = spare
        self._catch = catch
        self._sites: list[int] = []
        self._bases: dict[int, int] = {}
        self._incomplete = self._warned = False
        self._without_vectors: set[int] = set()
        self._off: set[int] = set()

    def start(self, sites: Sequence[int], available: int, off: Iterable[int]) -> None:
        """The guest has been loaded: ``sites`` are the instructions that write VBAR_EL1.

        ``available``: how many breakpoint registers the guest has. ``off``: the vCPUs that are
        powered off.
        """
        room = max(available - REGISTERS_NEEDED, 0)
        self._sites = list(sites[:room])
        if len(sites) > room:
            log.warning(
                "the guest sets its exception vectors in %d places, and breakpoint registers are "
                "left for %d: semihosting calls may be missed after the others",
                len(sites),
                room,
            )
        self.replaced(off)
        self._incomplete = True

    def replaced(self, off: Iterable[int]) -> None:
        """The guest's state is another one: loaded, or restored. ``off``: as for ``start``."""
        self._bases.clear()
        self._without_vectors.clear()
        self._off = set(off)

    def powered_off(self, number: int) -> None:
        """The vCPU with this number is powered off."""
        self._off.add(number)
        self._bases.pop(number, None)
        self._without_vectors.discard(number)

    def powered_on(self, number: int) -> None:
        """It has been powered on, and has run since."""
        self._off.discard(number)

    def was_off(self, number: int) -> bool:
        """Whether it was powered off, and has not run since."""
        return number in self._off

    def refresh(self, number: int, vcpu: Vcpu, space: AddressSpace) -> None:
        """The vCPU with this number is about to run: catch at its vectors as they are now."""
        base = vcpu.get_one_reg(_VBAR_EL1) & ~(VECTOR_TABLE_BYTES - 1)
        if not base and number not in self._without_vectors and self._lacks_vectors(vcpu, space):
            base = self._spare
            vcpu.set_one_reg(_VBAR_EL1, base)
        if self._bases.get(number) == base and not self._incomplete:
            return
        self._bases[number] = base
        bases = dict.fromkeys(self._bases.values())
        addresses = [b + offset & _U64 for b in bases for offset in _VECTORS]
        try:
            self._arm(addresses)
            self._incomplete = self._warned = False
        except OutOfRegisters as error:
            if not self._warned:
                log.warning("semihosting calls are not caught now: %s", error)
            self._incomplete = self._warned = True

    def _arm(self, vectors: Sequence[int]) -> None:
        """Arm the vectors, and as many as possible of the instructions that write VBAR_EL1."""
        sites = list(self._sites)
        while True:
            try:
                self._catch([*vectors, *sites])
                return
            except OutOfRegisters:
                if not sites:
                    raise
                sites.pop()

    def _lacks_vectors(self, vcpu: Vcpu, space: AddressSpace) -> bool:
        if vcpu.get_one_reg(_SCTLR_EL1) & _SCTLR_M:
            return False
        try:
            space.read(_VECTORS[0], 4)
        except AddressError:
            return True
        return False

    def call_at(self, number: int, vcpu: Vcpu, space: AddressSpace) -> ExitHlt | None:
        """The call that the vCPU has just taken an exception for; None if it was another one.

        The vCPU is put back to the HLT: its PC and PSTATE are those from before the exception.
        """
        get, put = vcpu.get_one_reg, vcpu.set_one_reg
        elr, spsr = get(ELR_EL1), get(SPSR_EL1)
        if get(_ESR_EL1) == _UNDEFINED and exception_level(spsr) == 1:
            try:
                word = int.from_bytes(space.read(elr, 4), "little")
            except AddressError:
                word = 0
            if word & _HLT_MASK == _HLT and word >> 5 & 0xFFFF == self._immediate:
                put(PC, elr)
                put(PSTATE, spsr & ~(_SS | _BTYPE))
                # If the guest came to the vector again by a branch, it would not be a call.
                put(_ESR_EL1, 0)
                return ExitHlt(self._immediate)
        base = get(_VBAR_EL1)
        if base == self._spare:
            # Another exception: it goes where it had gone without the debugger, so that what is
            # reported of the guest is the same.
            self._without_vectors.add(number)
            put(_VBAR_EL1, 0)
            put(PC, get(PC) - base & _U64)
        return None

    def stepped(self, number: int, vcpu: Vcpu, space: AddressSpace, pc: int) -> ExitHlt | None:
        """The instruction at ``pc`` was stepped: the call if it was one. None if not."""
        self.refresh(number, vcpu, space)
        now = vcpu.get_one_reg(PC)
        base = self._bases[number]
        if vcpu.get_one_reg(ELR_EL1) == pc and self._is_vector(now, base):
            return self.call_at(number, vcpu, space)
        return None

    @staticmethod
    def _is_vector(address: int, base: int) -> bool:
        return address - base in _VECTORS

    def is_vector(self, address: int) -> bool:
        """Whether calls are caught at this address; otherwise VBAR_EL1 is written there."""
        bases: Iterable[int] = self._bases.values()
        return any(self._is_vector(address, base) for base in bases)
