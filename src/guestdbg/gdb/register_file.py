"""The registers by their numbers in the target description; access by KVM_GET/SET_ONE_REG.

X0 to X30, SP, PC, CPSR (PSTATE), then V0 to V31, FPSR, FPCR, then the system registers that the
provider has, and some of them again by the names that QEMU gives them. The order of the first two
groups is fixed for an AArch64 target ("Debugging with GDB", appendix G.5.1).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from guestdbg.arm64.translate import SCTLR_M
from guestdbg.gdb.errors import PacketError
from guestdbg.kvm import KvmError
from guestdbg.kvm.regs import core_reg, name_of, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["CPSR", "EXPEDITED", "PC", "QEMU_ALIASES", "SP", "Register", "RegisterFile"]

SP, PC, CPSR, V0, FPSR, FPCR, SYSTEM = 31, 32, 33, 34, 66, 67, 68
#: The registers in every stop reply, which GDB needs to find the frame: X29, X30, SP, PC.
EXPEDITED = (29, 30, SP, PC)

_NAMED = re.compile(r"[A-Z][A-Z0-9_]*_EL[0-3]\Z")
_DEBUG = re.compile(r"DBG[BW][CV]R(\d+)_EL1\Z")
# These are core registers of KVM, under other names.
_KVM_CORE_REGISTERS = (
    ("sp_el0", core_reg("sp")),
    ("sp_el1", core_reg("sp_el1")),
    ("elr_el1", core_reg("elr_el1")),
    ("spsr_el1", core_reg("spsr[0]")),
)

#: Up to QEMU 7.2 these had the names of their AArch32 halves.
QEMU_ALIASES = {"CPACR": "cpacr_el1", "SCTLR": "sctlr_el1", "VBAR": "vbar_el1"}
#: Scripts for QEMU's gdbstub (pwndbg, gef) ask for these names, and GDB's are case-sensitive.
_QEMU_NAMES = {
    **QEMU_ALIASES,
    "CONTEXTIDR_EL1": "contextidr_el1",
    "ELR_EL1": "elr_el1",
    "ESR_EL1": "esr_el1",
    "FAR_EL1": "far_el1",
    "ID_AA64ISAR0_EL1": "id_aa64isar0_el1",
    "ID_AA64ISAR1_EL1": "id_aa64isar1_el1",
    "ID_AA64MMFR0_EL1": "id_aa64mmfr0_el1",
    "ID_AA64MMFR1_EL1": "id_aa64mmfr1_el1",
    "ID_AA64MMFR2_EL1": "id_aa64mmfr2_el1",
    "ID_AA64PFR0_EL1": "id_aa64pfr0_el1",
    "MAIR_EL1": "mair_el1",
    "MDSCR_EL1": "mdscr_el1",
    "PAR_EL1": "par_el1",
    "SCTLR_EL1": "sctlr_el1",
    "SPSR_EL1": "spsr_el1",
    "SP_EL0": "sp_el0",
    "SP_EL1": "sp_el1",
    "TCR_EL1": "tcr_el1",
    "TPIDRRO_EL0": "tpidrro_el0",
    "TPIDR_EL0": "tpidr_el0",
    "TPIDR_EL1": "tpidr_el1",
    "TTBR0_EL1": "ttbr0_el1",
    "TTBR1_EL1": "ttbr1_el1",
    "VBAR_EL1": "vbar_el1",
}
_PAUTH_NAMES = ("pauth_dmask", "pauth_cmask", "pauth_dmask_high", "pauth_cmask_high")
#: 48 bits of addresses in both halves.
_TCR_MMU_OFF = 16 | 16 << 16
_ISAR1, _ISAR2 = sys_reg("ID_AA64ISAR1_EL1"), sys_reg("ID_AA64ISAR2_EL1")
_SCTLR, _TCR = sys_reg("SCTLR_EL1"), sys_reg("TCR_EL1")


def _not_address(context: VcpuContext, *, upper: bool) -> int:
    """The bits of a pointer that are a pointer authentication code (DDI 0487, D8.10)."""
    tcr = context.get(_TCR) if context.get(_SCTLR) & SCTLR_M else _TCR_MMU_OFF
    size = tcr >> 16 & 63 if upper else tcr & 63
    tagged = tcr >> (38 if upper else 37) & 1
    return (1 << (56 if tagged else 64)) - (1 << 64 - size)


@dataclass(frozen=True, slots=True)
class Register:
    """One register: number in the target description, name, size in bytes, group, KVM register id.

    ``group`` is GDB's: ``"general"``, ``"vector"``, ``"float"`` or ``"system"``. ``reg_id`` is None
    for SP, which is SP_EL0 or SP_EL1 according to PSTATE, and for the masks of pointers.
    """

    number: int
    name: str
    size: int
    group: str
    reg_id: int | None


class RegisterFile:
    """The registers of a guest's vCPUs, which all have the same ones.

    Attributes:
        core: X0 to CPSR, the feature org.gnu.gdb.aarch64.core.
        fpu: V0 to FPCR, the feature org.gnu.gdb.aarch64.fpu.
    """

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
        """The provider's system registers, in alphabetical order."""
        hardware = self._guest.hardware
        found = dict(_KVM_CORE_REGISTERS)
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
    def qemu(self) -> list[Register]:
        """Those of ``system`` that QEMU's gdbstub has, once more by its names."""
        ids = {register.name: register.reg_id for register in self.system}
        names = sorted(name for name, same in _QEMU_NAMES.items() if same in ids)
        first = SYSTEM + len(self.system)
        return [
            Register(first + n, name, 8, "system", ids[_QEMU_NAMES[name]])
            for n, name in enumerate(names)
        ]

    @cached_property
    def pauth(self) -> list[Register]:
        """Which bits of a pointer are not of its address; none without pointer authentication.

        The feature org.gnu.gdb.aarch64.pauth_v2: of data and code, of the lower and upper half.
        """
        first = SYSTEM + len(self.system) + len(self.qemu)
        get = self._guest.board.vcpus[0].get_one_reg
        try:
            has_pauth = get(_ISAR1) >> 4 & 0xFF or get(_ISAR2) >> 12 & 0xF
        except KvmError:
            return []
        names = _PAUTH_NAMES if has_pauth else ()
        return [Register(first + n, name, 8, "system", None) for n, name in enumerate(names)]

    @cached_property
    def _all(self) -> list[Register]:
        return [*self._basic, *self.system, *self.qemu, *self.pauth]

    def __iter__(self) -> Iterator[Register]:
        """All registers, each once: without ``qemu`` and ``pauth``."""
        return iter([*self._basic, *self.system])

    def by_number(self, number: int) -> Register:
        """The register of this number; raises PacketError if there is none."""
        # The list of system registers is made only when it is needed.
        where = self._basic if number < SYSTEM else self._all
        if not 0 <= number < len(where):
            raise PacketError(f"there is no register {number}: there are {len(self._all)}")
        return where[number]

    def name(self, number: int) -> str | None:
        """The name of the register of this number; None if there is none."""
        try:
            return self.by_number(number).name
        except PacketError:
            return None

    def read(self, context: VcpuContext, number: int) -> bytes:
        """The register's bytes, little-endian."""
        register = self.by_number(number)
        if register.number == SP:
            return context.sp().to_bytes(8, "little")
        try:
            if register.reg_id is None:
                value = _not_address(context, upper=register.name.endswith("_high"))
            else:
                value = context.get(register.reg_id)
        except KvmError as error:
            raise PacketError(f"{register.name}: {error}", error.errno or errno.EIO) from error
        return (value & (1 << 8 * register.size) - 1).to_bytes(register.size, "little")

    def write(self, context: VcpuContext, number: int, data: bytes) -> None:
        """Write the register. Raises PacketError if ``data`` is not of its size."""
        register = self.by_number(number)
        if len(data) != register.size:
            raise PacketError(f"{register.name} has {register.size} bytes, not {len(data)}")
        value = int.from_bytes(data, "little")
        if register.number == SP:
            context.cpu.sp = value
            return
        if register.reg_id is None:
            raise PacketError(f"{register.name} follows from TCR_EL1: it cannot be written")
        try:
            context.set_register(register.reg_id, value)
        except KvmError as error:
            raise PacketError(f"{register.name}: {error}", error.errno or errno.EIO) from error

    def read_core(self, context: VcpuContext) -> bytes:
        """X0 to CPSR in one piece, for ``g``. Clients read the other registers one by one."""
        get = context.get
        values = [
            context.sp() if register.reg_id is None else get(register.reg_id)
            for register in self.core
        ]
        out = b"".join(value.to_bytes(8, "little") for value in values[:CPSR])
        return out + (values[CPSR] & 0xFFFF_FFFF).to_bytes(4, "little")

    def write_core(self, context: VcpuContext, data: bytes) -> None:
        """Write X0 to CPSR, for ``G``; nothing is written if ``data`` is too short."""
        size = 8 * CPSR + 4
        if len(data) < size:
            raise PacketError(f"{len(data)} bytes of registers: G needs {size}")
        # CPSR first: it selects the stack pointer that SP is.
        for register in (self.core[CPSR], *self.core[:CPSR]):
            at = 8 * register.number
            self.write(context, register.number, data[at : at + register.size])
