"""The registers as the protocol numbers them, read and written through one-reg access.

X0 to X30, SP, PC, CPSR (that is PSTATE), then V0 to V31, FPSR, FPCR, then the system registers that
the provider has. The first two groups are what GDB asks of an AArch64 target ("Debugging with GDB",
appendix G.5.1).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import Refused
from guestdbg.kvm import KvmError
from guestdbg.kvm.regs import core_reg, name_of

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["CPSR", "EXPEDITED", "PC", "SP", "Register", "Registers"]

SP, PC, CPSR, V0, FPSR, FPCR, SYSTEM = 31, 32, 33, 34, 66, 67, 68
#: What every stop reply carries: what GDB needs to find the frame. X29, X30, SP, PC.
EXPEDITED = (29, 30, SP, PC)

_NAMED = re.compile(r"[A-Z][A-Z0-9_]*_EL[0-3]\Z")
_DEBUG = re.compile(r"DBG[BW][CV]R(\d+)_EL1\Z")
# Their names in KVM's core registers are other ones.
_CORE_ONES = (
    ("sp_el0", core_reg("sp")),
    ("sp_el1", core_reg("sp_el1")),
    ("elr_el1", core_reg("elr_el1")),
    ("spsr_el1", core_reg("spsr[0]")),
)


@dataclass(frozen=True, slots=True)
class Register:
    """One register: its number in the protocol, its name, width in bytes, and one-reg id.

    ``reg_id`` is None for SP, which is one of two. ``group`` is GDB's: ``"general"``, ``"vector"``,
    ``"float"`` or ``"system"``.
    """

    number: int
    name: str
    size: int
    group: str
    reg_id: int | None


class Registers:
    """The register file of a guest's vCPUs; all have the same."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.core = [Register(n, f"x{n}", 8, "general", core_reg(f"x{n}")) for n in range(31)]
        self.core += [
            Register(SP, "sp", 8, "general", None),
            Register(PC, "pc", 8, "general", core_reg("pc")),
            Register(CPSR, "cpsr", 4, "general", core_reg("pstate")),
        ]
        self.fpu = [
            Register(V0 + n, f"v{n}", 16, "vector", core_reg(f"v{n}")) for n in range(32)
        ] + [
            Register(FPSR, "fpsr", 4, "float", core_reg("fpsr")),
            Register(FPCR, "fpcr", 4, "float", core_reg("fpcr")),
        ]
        self._basic = [*self.core, *self.fpu]

    @cached_property
    def system(self) -> list[Register]:
        """The system registers that the provider answers for, in the order of their names."""
        hardware = self._guest.hardware
        found = dict(_CORE_ONES)
        for reg_id in self._guest.board.vcpus[0].get_reg_list():
            name = name_of(reg_id)
            if not _NAMED.match(name):
                continue
            debug = _DEBUG.match(name)
            if debug:
                there = hardware.breakpoints if name[3] == "B" else hardware.watchpoints
                if int(debug[1]) >= there:
                    continue
            found[name.lower()] = reg_id
        return [
            Register(SYSTEM + n, name, 8, "system", reg_id)
            for n, (name, reg_id) in enumerate(sorted(found.items()))
        ]

    @cached_property
    def _all(self) -> list[Register]:
        return [*self._basic, *self.system]

    def __iter__(self) -> Iterator[Register]:
        return iter(self._all)

    def by_number(self, number: int) -> Register:
        """The register of this number; Refused where there is none."""
        # The system registers are looked for when somebody asks for one.
        where = self._basic if number < SYSTEM else self._all
        if not 0 <= number < len(where):
            raise Refused(f"there is no register {number}: there are {len(self._all)}")
        return where[number]

    def name(self, number: int) -> str | None:
        """What the register of this number is called; None: there is none."""
        try:
            return self.by_number(number).name
        except Refused:
            return None

    def read(self, core: VcpuContext, number: int) -> bytes:
        """The register's bytes, little-endian."""
        register = self.by_number(number)
        if register.reg_id is None:
            return core.sp().to_bytes(8, "little")
        try:
            value = core.get(register.reg_id)
        except KvmError as error:
            raise Refused(f"{register.name}: {error}", error.errno or errno.EIO) from error
        return (value & (1 << 8 * register.size) - 1).to_bytes(register.size, "little")

    def write(self, core: VcpuContext, number: int, data: bytes) -> None:
        """Write the register; it must be all its bytes."""
        register = self.by_number(number)
        if len(data) != register.size:
            raise Refused(f"{register.name} has {register.size} bytes, not {len(data)}")
        value = int.from_bytes(data, "little")
        if register.reg_id is None:
            core.cpu.sp = value
            return
        try:
            core.vcpu.set_one_reg(register.reg_id, value)
        except KvmError as error:
            raise Refused(f"{register.name}: {error}", error.errno or errno.EIO) from error

    def read_core(self, core: VcpuContext) -> bytes:
        """X0 to CPSR in one piece: the reply to ``g``. The others are read one by one."""
        get = core.get
        values = [
            core.sp() if register.reg_id is None else get(register.reg_id) for register in self.core
        ]
        out = b"".join(value.to_bytes(8, "little") for value in values[:CPSR])
        return out + (values[CPSR] & 0xFFFF_FFFF).to_bytes(4, "little")

    def write_core(self, core: VcpuContext, data: bytes) -> None:
        """The same for ``G``: nothing is written unless there are bytes for all of them."""
        wanted = 8 * CPSR + 4
        if len(data) < wanted:
            raise Refused(f"{len(data)} bytes of registers: there must be {wanted}")
        # CPSR first: it says which stack pointer SP is.
        for register in (self.core[CPSR], *self.core[:CPSR]):
            at = 8 * register.number
            self.write(core, register.number, data[at : at + register.size])
