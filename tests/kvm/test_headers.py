"""The seam's numbers and layouts against the arm64 kernel headers, by the cross compiler."""

import ctypes
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from guestdbg.kvm import constants, layouts

COMPILER = shutil.which("aarch64-linux-gnu-gcc")

# Defined in the kernel's own sources, not in the user headers.
INTERNAL = {"KVM_GUESTDBG_VALID_MASK"}
#: Added since the headers of Linux 6.1, with their values in those of 6.14.
NEWER = {"KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2": 1}

INCLUDES = """
#include <stddef.h>
#include <linux/types.h>
#include <linux/kvm.h>
#include <linux/psci.h>
"""


def evaluate(tmp_path: Path, expressions: list[str]) -> list[int]:
    """The value of each C constant expression, as an arm64 compiler with the headers sees it."""
    if COMPILER is None:
        pytest.skip("needs aarch64-linux-gnu-gcc and linux-libc-dev-arm64-cross")
    body = ",\n".join(f"(unsigned long long)({text})" for text in expressions)
    source = tmp_path / "values.c"
    source.write_text(f"{INCLUDES}\nconst unsigned long long values[] = {{\n{body}\n}};\n")
    result = tmp_path / "values.o"
    subprocess.run([COMPILER, "-c", "-o", result, source], check=True)
    elf = ELFFile(io.BytesIO(result.read_bytes()))
    data = elf.get_section_by_name(".rodata").data()
    return [int.from_bytes(data[n : n + 8], "little") for n in range(0, len(data), 8)]


def test_constants_are_the_kernel_headers(tmp_path: Path) -> None:
    names = [
        name
        for name in vars(constants)
        if name.startswith(("KVM_", "PSCI_")) and name not in INTERNAL | NEWER.keys()
    ]
    assert len(names) > 120
    values = evaluate(tmp_path, names)
    expected = dict(zip(names, values, strict=True))
    assert {name: getattr(constants, name) for name in names} == expected
    assert {name: getattr(constants, name) for name in NEWER} == NEWER


def test_valid_mask_is_every_flag_the_headers_have_for_arm64(tmp_path: Path) -> None:
    flags = "KVM_GUESTDBG_ENABLE|KVM_GUESTDBG_SINGLESTEP|KVM_GUESTDBG_USE_SW_BP|KVM_GUESTDBG_USE_HW"
    assert evaluate(tmp_path, [flags]) == [constants.KVM_GUESTDBG_VALID_MASK] == [0x30003]


STRUCTURES = [
    cls
    for name, cls in vars(layouts).items()
    if isinstance(cls, type)
    and issubclass(cls, ctypes.Structure)
    and not name.startswith("_")
    and cls.__module__ == layouts.__name__
]


@pytest.mark.parametrize("cls", STRUCTURES, ids=lambda cls: cls.__name__)
def test_layout_is_the_kernel_headers(cls: type[ctypes.Structure], tmp_path: Path) -> None:
    fields = [name for name, *_ in cls._fields_ if not name.startswith("_")]
    # kvm_run's union has no name in C: its place is that of a member.
    in_c = {name: "hw" if cls is layouts.kvm_run and name == "exit" else name for name in fields}
    c_name = f"struct {cls.__name__}"
    expressions = [f"sizeof({c_name})"]
    for name in fields:
        expressions.append(f"offsetof({c_name}, {in_c[name]})")
        if in_c[name] == name:
            expressions.append(f"sizeof((({c_name} *)0)->{name})")
    got = [ctypes.sizeof(cls)]
    for name in fields:
        got.append(getattr(cls, name).offset)
        if in_c[name] == name:
            got.append(getattr(cls, name).size)
    assert got == evaluate(tmp_path, expressions)


def test_kvm_run_union_members_are_the_kernel_headers(tmp_path: Path) -> None:
    union = layouts._run_exit
    base = layouts.kvm_run.exit.offset
    expressions, got = [], []
    for member, member_cls in union._fields_:
        if member == "padding":
            continue
        for name, *_ in member_cls._fields_:
            expressions.append(f"offsetof(struct kvm_run, {member}.{name})")
            got.append(base + getattr(member_cls, name).offset)
    assert got == evaluate(tmp_path, expressions)


def test_core_ids_are_the_kernel_headers(tmp_path: Path) -> None:
    from guestdbg.kvm.regs import CORE_REGS

    def field(name: str) -> str:
        if name[0] == "x":
            return f"regs.regs[{name[1:]}]"
        if name[0] == "v":
            return f"fp_regs.vregs[{name[1:]}]"
        if name in ("sp", "pc", "pstate"):
            return f"regs.{name}"
        if name in ("fpsr", "fpcr"):
            return f"fp_regs.{name}"
        return name

    def size(name: str) -> str:
        if name[0] == "v":
            return "KVM_REG_SIZE_U128"
        return "KVM_REG_SIZE_U32" if name in ("fpsr", "fpcr") else "KVM_REG_SIZE_U64"

    expressions = [
        f"KVM_REG_ARM64|{size(name)}|KVM_REG_ARM_CORE|KVM_REG_ARM_CORE_REG({field(name)})"
        for name in CORE_REGS
    ]
    assert list(CORE_REGS.values()) == evaluate(tmp_path, expressions)


def test_sysreg_ids_are_the_kernel_headers(tmp_path: Path) -> None:
    from guestdbg.arm64.sysregs import SYSREGS
    from guestdbg.kvm.regs import sys_reg_id

    regs = list(SYSREGS.values())
    expressions = [f"ARM64_SYS_REG({r.op0},{r.op1},{r.crn},{r.crm},{r.op2})" for r in regs]
    ids = [sys_reg_id(r.op0 << 14 | r.op1 << 11 | r.crn << 7 | r.crm << 3 | r.op2) for r in regs]
    assert ids == evaluate(tmp_path, expressions)
