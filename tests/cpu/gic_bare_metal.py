"""A program at EL2 of QEMU's board that makes single accesses to the GIC's virtual CPU interface.

A step is a write of an ICH_* register at EL2, or an access to an ICC_* register at EL1, where it is
the virtual one. After each step the program records what was read and the state of the interface.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.cpu.bare_metal import assemble

BASE = 0x4100_0000
SIZE = 0x20_0000
STEPS = BASE + 0x1_0000
RESULTS = BASE + 0x10_0000
MOST = 7400  # steps in a run
STRIDE = 112

#: What a step can do. "read" and "write" are the guest's.
ICH = ["ICH_HCR_EL2", "ICH_VMCR_EL2", "ICH_AP0R0_EL2", "ICH_AP1R0_EL2"] + [
    f"ICH_LR{n}_EL2" for n in range(4)
]
READS = [
    "ICC_PMR_EL1", "ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_HPPIR0_EL1", "ICC_HPPIR1_EL1",
    "ICC_BPR0_EL1", "ICC_BPR1_EL1", "ICC_AP0R0_EL1", "ICC_AP1R0_EL1", "ICC_RPR_EL1",
    "ICC_CTLR_EL1", "ICC_SRE_EL1", "ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1",
]  # fmt: skip
WRITES = [
    "ICC_PMR_EL1", "ICC_EOIR0_EL1", "ICC_EOIR1_EL1", "ICC_BPR0_EL1", "ICC_BPR1_EL1",
    "ICC_AP0R0_EL1", "ICC_AP1R0_EL1", "ICC_DIR_EL1", "ICC_CTLR_EL1", "ICC_IGRPEN0_EL1",
    "ICC_IGRPEN1_EL1",
]  # fmt: skip
#: What is recorded after a step, in this order.
RECORDED = [
    "ICH_HCR_EL2", "ICH_VMCR_EL2", "ICH_AP0R0_EL2", "ICH_AP1R0_EL2", "ICH_MISR_EL2",
    "ICH_EISR_EL2", "ICH_ELRSR_EL2", "ICH_LR0_EL2", "ICH_LR1_EL2", "ICH_LR2_EL2", "ICH_LR3_EL2",
]  # fmt: skip
FIELDS = ["value", "lines", *RECORDED]
OPERATIONS = [("set", name) for name in ICH]
OPERATIONS += [("read", name) for name in READS]
OPERATIONS += [("write", name) for name in WRITES]


class Step(NamedTuple):
    kind: str  # "set": EL2's; "read", "write": the guest's
    name: str
    value: int = 0


_SOURCE = """
    .arch armv8.2-a
    .text
start:
    msr daifset, #15
    adr x0, vectors
    msr vbar_el2, x0
    mov x0, #15
    msr S3_4_C12_C9_5, x0
    isb
    ldr x0, =(1 << 31 | 1 << 3 | 1 << 4 | 1 << 5)
    msr hcr_el2, x0
    ldr x0, =0x30d00800
    msr sctlr_el1, x0
    isb
    ldr x28, =STEPS
    ldr x27, =RESULTS
next:
    ldp x0, x1, [x28], #16
    cbz x0, finish
    cmp x0, #FIRST_EL1
    adr x2, operations
    add x2, x2, x0, lsl #4
    b.hs guest
    blr x2
    // ISR_EL1 is looked at by the guest
    mov x1, #0
    adr x2, operations
guest:
    msr elr_el2, x2
    mov x2, #0x3c5
    msr spsr_el2, x2
    eret
back:
    stp x1, x3, [x27], #16
    RECORD
    b next
finish:
    ldr x0, =RESULTS
    ldr x2, =0x09000000
1:  cmp x0, x27
    b.eq 2f
    ldrb w3, [x0], #1
3:  ldr w4, [x2, #0x18]
    tbnz w4, #5, 3b
    str w3, [x2]
    b 1b
2:  ldr w4, [x2, #0x18]
    tbnz w4, #3, 2b
    ldr x0, =0x84000008
    smc #0
    b .
    .ltorg
    .balign 16
operations:
    mrs x3, isr_el1
    hvc #0
    nop
    nop
OPERATIONS
    .balign 2048
vectors:
    .space 0x400
    b back
"""


def _program(directory: Path) -> bytes:
    stubs = []
    for kind, name in OPERATIONS:
        if kind == "set":
            stubs.append(f"    msr {name}, x1\n    isb\n    ret\n    nop")
        elif kind == "read":
            stubs.append(f"    mrs x1, {name}\n    isb\n    mrs x3, isr_el1\n    hvc #0")
        else:
            stubs.append(f"    msr {name}, x1\n    isb\n    mrs x3, isr_el1\n    hvc #0")
    record = "\n".join(f"    mrs x0, {name}\n    str x0, [x27], #8" for name in RECORDED)
    record += "\n    add x27, x27, #8"
    source = _SOURCE.replace("OPERATIONS\n", "\n".join(stubs) + "\n")
    source = source.replace("    RECORD\n", record + "\n")
    source = source.replace("FIRST_EL1", str(len(ICH) + 1))
    source = source.replace("=STEPS", f"={STEPS:#x}").replace("=RESULTS", f"={RESULTS:#x}")
    return assemble(source, directory)


def run_on_qemu(steps: Sequence[Step], directory: Path) -> list[dict[str, int]]:
    """What QEMU records after each step; its Cortex-A57 has four list registers."""
    assert len(steps) <= MOST
    qemu = shutil.which("qemu-system-aarch64")
    assert qemu is not None
    memory = bytearray(SIZE)
    code = _program(directory)
    memory[: len(code)] = code
    for n, step in enumerate(steps):
        operation = OPERATIONS.index((step.kind, step.name)) + 1
        struct.pack_into("<2Q", memory, STEPS - BASE + 16 * n, operation, step.value)
    file, out = directory / "image.bin", directory / "out.bin"
    file.write_bytes(memory)
    command = [
        qemu, "-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a57", "-m", "128",
        "-display", "none", "-monitor", "none", "-serial", f"file:{out}",
        "-device", f"loader,file={file},addr={BASE:#x},cpu-num=0,force-raw=on",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)
    raw = out.read_bytes()
    assert len(raw) == STRIDE * len(steps), f"{len(raw)} bytes for {len(steps)} steps"
    return [
        dict(zip(FIELDS, struct.unpack_from("<13Q", raw, STRIDE * n), strict=True))
        for n in range(len(steps))
    ]
