"""The constants agree with the arm64 kernel's own headers (Debian's linux-libc-dev-arm64-cross)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.arm64 import psci, registers, sysregs
from guestdbg.arm64.control import PSTATE

INCLUDE = Path("/usr/aarch64-linux-gnu/include")
CPP = shutil.which("aarch64-linux-gnu-gcc") or shutil.which("gcc") or shutil.which("cc")

pytestmark = [
    pytest.mark.skipif(
        not (INCLUDE / "asm/ptrace.h").exists(),
        reason="the arm64 kernel headers are absent: install linux-libc-dev-arm64-cross",
    ),
    pytest.mark.skipif(CPP is None, reason="no C preprocessor: install gcc"),
]


@pytest.fixture(scope="module")
def macros() -> dict[str, int]:
    """Every object-like macro of the headers that is an integer, fully expanded."""
    headers = "#include <asm/ptrace.h>\n#include <linux/kvm.h>\n#include <linux/psci.h>\n"
    command = [str(CPP), "-E", "-nostdinc", "-I", str(INCLUDE), "-x", "c"]
    defined = subprocess.run(
        [*command, "-dM", "-"], input=headers, capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"^#define ((?:PSR|KVM|PSCI)_\w+) ", defined, re.MULTILINE)
    expanded = subprocess.run(
        [*command, "-P", "-"],
        input=headers + "".join(f'"@{n}@" {n} ;\n' for n in names),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, int] = {}
    for name, text in re.findall(r'"@(\w+)@"\s+([^;]*);', expanded):
        plain = re.sub(r"\(__u(?:64|32)\)|(?<=[0-9a-fA-F])[uU]?[lL]{0,2}\b", "", text)
        if re.fullmatch(r"[-0-9a-fA-FxbX\s()<>|&~+*]+", plain):
            found[name] = int(eval(plain))
    assert len(found) > 100
    return found


@pytest.mark.parametrize(
    ("field", "macro"),
    [
        ("N", "PSR_N_BIT"),
        ("Z", "PSR_Z_BIT"),
        ("C", "PSR_C_BIT"),
        ("V", "PSR_V_BIT"),
        ("TCO", "PSR_TCO_BIT"),
        ("DIT", "PSR_DIT_BIT"),
        ("UAO", "PSR_UAO_BIT"),
        ("PAN", "PSR_PAN_BIT"),
        ("SSBS", "PSR_SSBS_BIT"),
        ("BTYPE", "PSR_BTYPE_MASK"),
        ("D", "PSR_D_BIT"),
        ("A", "PSR_A_BIT"),
        ("I", "PSR_I_BIT"),
        ("F", "PSR_F_BIT"),
    ],
)
def test_process_state_fields(macros: dict[str, int], field: str, macro: str) -> None:
    assert PSTATE.field(field).mask == macros[macro]


def test_process_state_modes(macros: dict[str, int]) -> None:
    modes = {n: v for n, v in macros.items() if re.fullmatch(r"PSR_MODE_EL\d[th]", n)}
    assert len(modes) == 7
    mode = PSTATE.field("M")
    for name, value in modes.items():
        assert mode.words(value).startswith(name.removeprefix("PSR_MODE_"))
    assert mode.mask == macros["PSR_MODE_MASK"] | macros["PSR_MODE32_BIT"]


def test_packing_of_system_register_encodings(macros: dict[str, int]) -> None:
    for part, arguments in (
        ("OP0", (3, 0, 0, 0, 0)),
        ("OP1", (0, 7, 0, 0, 0)),
        ("CRN", (0, 0, 15, 0, 0)),
        ("CRM", (0, 0, 0, 15, 0)),
        ("OP2", (0, 0, 0, 0, 7)),
    ):
        assert sysregs.encode16(*arguments) == macros[f"KVM_REG_ARM64_SYSREG_{part}_MASK"]


def test_timer_registers(macros: dict[str, int]) -> None:
    for name, macro in (
        ("CNTP_CTL_EL0", "KVM_REG_ARM_PTIMER_CTL"),
        ("CNTP_CVAL_EL0", "KVM_REG_ARM_PTIMER_CVAL"),
        ("CNTPCT_EL0", "KVM_REG_ARM_PTIMER_CNT"),
        ("CNTV_CTL_EL0", "KVM_REG_ARM_TIMER_CTL"),
        # The kernel's ABI has these two the wrong way round: see asm/kvm.h.
        ("CNTVCT_EL0", "KVM_REG_ARM_TIMER_CVAL"),
        ("CNTV_CVAL_EL0", "KVM_REG_ARM_TIMER_CNT"),
    ):
        assert sysregs.by_name(name).encoding == macros[macro] & 0xFFFF, macro


def test_number_of_debug_registers(macros: dict[str, int]) -> None:
    most = macros["KVM_ARM_MAX_DBG_REGS"]
    for kind in ("DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"):
        assert sum(n.startswith(kind) for n in sysregs.SYSREGS) == most
        assert registers.by_name(f"{kind}{most - 1}_EL1").name == kind


def test_psci_functions(macros: dict[str, int]) -> None:
    functions = {f.name.removeprefix("PSCI_"): f.value for f in psci.Function}
    checked = 0
    for name, value in macros.items():
        kind = re.fullmatch(r"PSCI_\d_\d_FN(64)?_(\w+)", name)
        # linux/psci.h gives MEM_PROTECT_CHECK_RANGE MEM_PROTECT's number; the specification
        # (DEN 0022, 5.1) says 0x84000014.
        if kind is None or kind[2] in ("BASE", "MEM_PROTECT_CHECK_RANGE"):
            continue
        member = kind[2].removeprefix("PSCI_") + ("_64" if kind[1] else "")
        assert functions[member] == value, name
        checked += 1
    assert checked >= 25


def test_psci_results(macros: dict[str, int]) -> None:
    results = {n: v for n, v in macros.items() if n.startswith("PSCI_RET_")}
    assert len(results) == 10
    for name, value in results.items():
        member = name.removeprefix("PSCI_RET_")
        assert psci.Result["INVALID_PARAMETERS" if member == "INVALID_PARAMS" else member] == value
    for state in psci.Affinity:
        assert macros[f"PSCI_0_2_AFFINITY_LEVEL_{state.name}"] == state
