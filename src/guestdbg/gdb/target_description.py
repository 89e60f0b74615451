"""The target description: the registers and their types, as XML for GDB.

Source: "Debugging with GDB", appendix G (target descriptions), G.5.1 (AArch64 features).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from guestdbg.gdb.register_file import PC, SP

if TYPE_CHECKING:
    from guestdbg.gdb.register_file import Register, RegisterFile

__all__ = ["SYSTEM_FEATURE", "target_xml"]

CORE_FEATURE = "org.gnu.gdb.aarch64.core"
FPU_FEATURE = "org.gnu.gdb.aarch64.fpu"
SYSTEM_FEATURE = "org.guestdbg.aarch64.system"
PAUTH_FEATURE = "org.gnu.gdb.aarch64.pauth_v2"
QEMU_FEATURE = "org.qemu.gdb.arm.sys.regs"

# PSTATE as SPSR_EL1 lays it out (DDI 0487, C5.2.18).
_CPSR = (
    ("SP", 0, 0),
    ("EL", 2, 3),
    ("nRW", 4, 4),
    ("F", 6, 6),
    ("I", 7, 7),
    ("A", 8, 8),
    ("D", 9, 9),
    ("BTYPE", 10, 11),
    ("SSBS", 12, 12),
    ("IL", 20, 20),
    ("SS", 21, 21),
    ("PAN", 22, 22),
    ("UAO", 23, 23),
    ("DIT", 24, 24),
    ("TCO", 25, 25),
    ("V", 28, 28),
    ("C", 29, 29),
    ("Z", 30, 30),
    ("N", 31, 31),
)
_FPSR = (
    ("IOC", 0, 0),
    ("DZC", 1, 1),
    ("OFC", 2, 2),
    ("UFC", 3, 3),
    ("IXC", 4, 4),
    ("IDC", 7, 7),
    ("QC", 27, 27),
)
_FPCR = (
    ("IOE", 8, 8),
    ("DZE", 9, 9),
    ("OFE", 10, 10),
    ("UFE", 11, 11),
    ("IXE", 12, 12),
    ("IDE", 15, 15),
    ("RMode", 22, 23),
    ("FZ", 24, 24),
    ("DN", 25, 25),
    ("AHP", 26, 26),
)
# The views of a vector register: (letter, bits of an element, (letter, type) of the elements).
_VECTORS = (
    ("d", 64, (("f", "ieee_double"), ("u", "uint64"), ("s", "int64"))),
    ("s", 32, (("f", "ieee_single"), ("u", "uint32"), ("s", "int32"))),
    ("h", 16, (("u", "uint16"), ("s", "int16"))),
    ("b", 8, (("u", "uint8"), ("s", "int8"))),
    ("q", 128, (("u", "uint128"), ("s", "int128"))),
)


def target_xml(registers: RegisterFile) -> bytes:
    """The document ``target.xml``, which includes no other."""
    parts = [
        '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n',
        '<target version="1.0">\n',
        "<architecture>aarch64</architecture>\n",
        f'<feature name="{CORE_FEATURE}">\n',
        _flags("cpsr_flags", 4, _CPSR),
        *(_register(register, _core_type(register)) for register in registers.core),
        f'</feature>\n<feature name="{FPU_FEATURE}">\n',
        *_vector_types(),
        _flags("fpsr_flags", 4, _FPSR),
        _flags("fpcr_flags", 4, _FPCR),
        *(_register(register, _fpu_type(register)) for register in registers.fpu),
        f'</feature>\n<feature name="{SYSTEM_FEATURE}">\n',
        *_system(registers.system),
        f'</feature>\n<feature name="{QEMU_FEATURE}">\n',
        *_system(registers.qemu),
        *_pauth(registers),
        "</feature>\n</target>\n",
    ]
    return "".join(parts).encode()


def _register(register: Register, kind: str, more: str = "") -> str:
    return (
        f'<reg name="{register.name}" bitsize="{8 * register.size}" type="{kind}" '
        f'regnum="{register.number}" group="{register.group}"{more}/>\n'
    )


def _core_type(register: Register) -> str:
    return {SP: "data_ptr", PC: "code_ptr"}.get(
        register.number, "int" if register.size == 8 else "cpsr_flags"
    )


def _fpu_type(register: Register) -> str:
    return "aarch64v" if register.size == 16 else f"{register.name}_flags"


def _flags(name: str, size: int, fields: Iterable[tuple[str, int, int]]) -> str:
    rows = []
    for field, low, high in fields:
        kind = "bool" if low == high else f"uint{8 * size}"
        rows.append(f'<field name={quoteattr(field)} start="{low}" end="{high}" type="{kind}"/>\n')
    body = "".join(rows)
    return f'<flags id="{name}" size="{size}">\n{body}</flags>\n'


def _vector_types() -> list[str]:
    parts, unions = [], []
    for letter, bits, elements in _VECTORS:
        for kind, name in elements:
            parts.append(f'<vector id="v{letter}_{kind}" type="{name}" count="{128 // bits}"/>\n')
        fields = "".join(
            f'<field name="{kind}" type="v{letter}_{kind}"/>\n' for kind, _ in elements
        )
        parts.append(f'<union id="v{letter}">\n{fields}</union>\n')
        unions.append(f'<field name="{letter}" type="v{letter}"/>\n')
    parts += ['<union id="aarch64v">\n', *unions, "</union>\n"]
    return parts


def _pauth(registers: RegisterFile) -> list[str]:
    """GDB since 14 takes authentication codes out of return addresses by these."""
    if not registers.pauth:
        return []
    return [f'</feature>\n<feature name="{PAUTH_FEATURE}">\n', *_system(registers.pauth)]


def _system(system: Iterable[Register]) -> list[str]:
    """The system registers as plain integers: GDB cannot assign to a register with named fields.

    ``save-restore="no"``: when GDB calls a function of the guest, it must not save them all before
    and write them back after.
    """
    return [_register(register, "uint64", ' save-restore="no"') for register in system]
