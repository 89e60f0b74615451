"""The state of a guest as one number: what it, its devices or time can show."""

import hashlib

from guestdbg.container.values import encode
from guestdbg.debugger import Guest

_REGISTERS = (
    *("pc", "pstate", "sp_el0", "sp_el1", "fpcr", "fpsr", "ESR_EL1", "FAR_EL1", "ELR_EL1"),
    *("SPSR_EL1", "VBAR_EL1", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "SCTLR_EL1", "CONTEXTIDR_EL1"),
    *("CNTV_CVAL_EL0", "CNTV_CTL_EL0", "CNTVCT_EL0", "TPIDR_EL0", "TPIDR_EL1"),
)


def digest(guest: Guest) -> str:
    """Of memory, the registers and power of all vCPUs, the devices and the console."""
    found = hashlib.sha256(guest.board.ram.buffer)
    for cpu in guest.vcpus:
        values = [*cpu.x, *cpu.v, *(cpu.reg(name) for name in _REGISTERS)]
        values += [cpu.vcpu.instructions, cpu.vcpu.get_mp_state()]
        found.update(repr(values).encode())
    snapshot = guest.board.snapshot()
    # As bytes, which do not depend on the process: a register's name may be its number there.
    found.update(encode((snapshot.devices, snapshot.console, snapshot.turn)))
    return found.hexdigest()
