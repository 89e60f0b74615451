"""A program that runs many small scenarios on a bare machine: on QEMU's, and on our processor.

A scenario is a PSTATE, an address, and registers. The program loads it, returns from an exception
to the address, and records the exception that ends it: the vector, the syndrome registers, the
general registers. Both machines execute the same image, so their records can be compared bit for
bit.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guestdbg.cpu.processor import EXIT_HLT, PhysicalMemory, Processor
from tests.cpu.extensions import HCR_API, HCR_APK, SYSTEM, give
from tests.cpu.processor_features import LSE

BASE = 0x4100_0000
SIZE = 0x20_0000
TABLES = BASE + 0x10_0000
CODE = 0x4110_8000  # where scenarios' instructions are, in physical memory too
RECORDS = BASE + 0x14_0000  # scenarios, then results
RESULTS = BASE + 0x18_0000
MOST = 1000  # scenarios in a run
STRIDE = 256

#: Pages for scenarios' data: read-write at both ELs, at EL1 only; read-only at both, at EL1 only.
USER_RW, KERNEL_RW, USER_RO, KERNEL_RO = (0x4111_0000 + 0x1000 * n for n in range(4))
#: Where the page of CODE is mapped as a guarded page.
GUARDED = 0x4200_8000

#: The data pages again, under a table descriptor that takes permissions away (APTable, XNTable,
#: PXNTable): HIERARCHY + 2**21 * n has the value n in these five bits.
HIERARCHY = 0x8000_0000
#: TTBR1's table, whose every entry is itself: as a page, or as the table of the next level.
RECURSIVE = BASE + 0x1C_0000

AF, SH, USER, RO, UXN, PXN, GP = 1 << 10, 3 << 8, 1 << 6, 1 << 7, 1 << 54, 1 << 53, 1 << 50
SCTLR = 0x30D0_0980 & ~(1 << 23) | 1 | 1 << 2 | 1 << 12  # M, C, I; SPAN clear
TCR = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 25 << 16 | 1 << 23 | 2 << 32 | 2 << 30

KEYS = [0x0123_4567_89AB_CDEF * (2 * n + 3) % (1 << 64) for n in range(10)]

_SOURCE = """
    .arch armv8.5-a
    .text
start:
    msr daifset, #15
    adr x0, vectors
    msr vbar_el1, x0
    ldr x0, =0x04FF
    msr mair_el1, x0
    ldr x0, =TABLES
    msr ttbr0_el1, x0
    ldr x0, =RECURSIVE
    msr ttbr1_el1, x0
    ldr x0, =TCR
    msr tcr_el1, x0
    ldr x0, =(3 << 20)
    msr cpacr_el1, x0
    tlbi vmalle1
    dsb sy
    isb
    adr x0, keys
    ldp x1, x2, [x0]
    msr apiakeylo_el1, x1
    msr apiakeyhi_el1, x2
    ldp x1, x2, [x0, #16]
    msr apibkeylo_el1, x1
    msr apibkeyhi_el1, x2
    ldp x1, x2, [x0, #32]
    msr apdakeylo_el1, x1
    msr apdakeyhi_el1, x2
    ldp x1, x2, [x0, #48]
    msr apdbkeylo_el1, x1
    msr apdbkeyhi_el1, x2
    ldp x1, x2, [x0, #64]
    msr apgakeylo_el1, x1
    msr apgakeyhi_el1, x2
    ldr x28, =RECORDS
    ldr x27, =RESULTS
    msr tpidr_el0, x27
    msr contextidr_el1, xzr
next:
    ldr x0, [x28]
    cbz x0, finish
    msr spsr_el1, x0
    ldr x0, [x28, #8]
    msr elr_el1, x0
    ldr x0, [x28, #24]
    msr tcr_el1, x0
    ldr x0, [x28, #16]
    msr sctlr_el1, x0
    tlbi vmalle1
    dsb sy
    isb
    msr far_el1, xzr
    msr esr_el1, xzr
    msr par_el1, xzr
    ldr x0, [x28, #32]
    mov sp, x0
    msr sp_el0, x0
    ldr x30, [x28, #40]
    ldp x0, x1, [x28, #48]
    ldp x2, x3, [x28, #64]
    ldp x4, x5, [x28, #80]
    ldp x6, x7, [x28, #96]
    ldp x16, x17, [x28, #112]
    mov x27, #0
    add x28, x28, #256
    msr tpidr_el1, x28
    eret
finish:
    hlt #0x123
    ldr x0, =RESULTS
    mrs x1, tpidr_el0
    ldr x2, =0x09000000
1:  cmp x0, x1
    b.eq 2f
    ldrb w3, [x0], #1
3:  ldr w4, [x2, #0x18]
    tbnz w4, #5, 3b
    str w3, [x2]
    b 1b
2:  ldr w4, [x2, #0x18]
    tbnz w4, #3, 2b
    ldr x0, =0x84000008
    hvc #0
    b .
    .balign 8
keys:
    KEYS
    .ltorg
    .balign 2048
vectors:
    VECTORS
common:
    mrs x28, tpidr_el0
    stp x0, x1, [x28, #48]
    stp x2, x3, [x28, #64]
    stp x4, x5, [x28, #80]
    stp x6, x7, [x28, #96]
    stp x16, x17, [x28, #112]
    str x30, [x28, #40]
    mov x0, sp
    str x0, [x28, #32]
    mrs x0, esr_el1
    mrs x1, elr_el1
    stp x0, x1, [x28, #8]
    mrs x0, far_el1
    str x0, [x28, #24]
    mrs x0, spsr_el1
    stp x29, x0, [x28, #128]
    mrs x0, par_el1
    mrs x1, sp_el0
    stp x0, x1, [x28, #144]
    mrs x0, pan
    mrs x1, uao
    orr x0, x0, x1
    mrs x1, dit
    orr x0, x0, x1
    mrs x1, ssbs
    orr x0, x0, x1
    str x0, [x28, #160]
    mrs x0, sctlr_el1
    mrs x1, tcr_el1
    stp x0, x1, [x28, #168]
    mov x0, #1
    str x0, [x28]
    add x28, x28, #256
    msr tpidr_el0, x28
    msr pan, #0
    mrs x28, tpidr_el1
    b next
"""

NAMES = [
    "done",
    "esr",
    "elr",
    "far",
    "sp",
    "x30",
    "x0",
    "x1",
    "x2",
    "x3",
    "x4",
    "x5",
    "x6",
    "x7",
    "x16",
    "x17",
    "vector",
    "spsr",
    "par",
    "sp_el0",
    "pstate",
    "sctlr",
    "tcr",
]


@dataclass(frozen=True)
class Scenario:
    pstate: int
    pc: int
    x: Sequence[int] = ()  # X0 to X7
    x16: int = 0
    x17: int = 0
    x30: int = 0
    sp: int = KERNEL_RW + 0x800
    sctlr: int = SCTLR
    tcr: int = TCR

    def pack(self) -> bytes:
        x = [*self.x, *[0] * (8 - len(self.x))]
        head = (self.pstate, self.pc, self.sctlr, self.tcr, self.sp, self.x30)
        return struct.pack("<16Q", *head, *x, self.x16, self.x17).ljust(STRIDE, b"\0")


def tools() -> tuple[str, str] | None:
    found = shutil.which("aarch64-linux-gnu-as"), shutil.which("aarch64-linux-gnu-objcopy")
    return (found[0], found[1]) if found[0] and found[1] else None


def assemble(source: str, directory: Path) -> bytes:
    """The code of assembler text without undefined symbols."""
    found = tools()
    assert found is not None
    text, object_, binary = (directory / f"a.{suffix}" for suffix in ("s", "o", "bin"))
    text.write_text(source)
    subprocess.run([found[0], "-march=armv8.5-a", "-o", object_, text], check=True)
    subprocess.run([found[1], "-O", "binary", "-j", ".text", object_, binary], check=True)
    return binary.read_bytes()


def _program(directory: Path) -> bytes:
    vectors = "\n".join(
        f"    .balign 128\n    mov x29, #{n * 128}\n    b common" for n in range(16)
    )
    source = _SOURCE.replace("VECTORS\n", vectors + "\n    .balign 128\n").replace(
        "    KEYS", "\n".join(f"    .quad {key:#x}" for key in KEYS)
    )
    for name in ("TABLES", "TCR", "RECORDS", "RESULTS", "RECURSIVE"):
        source = source.replace(f"={name}", f"={globals()[name]:#x}")
    return assemble(source, directory)


def _tables() -> bytes:
    """39-bit addresses: the program's 2 MiB in pages, EL1's; the UART; the guarded page."""
    level1, level2, pages, guarded = TABLES, TABLES + 0x1000, TABLES + 0x2000, TABLES + 0x3000
    found = bytearray(0x6000)

    def put(table: int, index: int, value: int) -> None:
        struct.pack_into("<Q", found, table - TABLES + 8 * index, value)

    put(level1, 0, (TABLES + 0x4000) | 3)
    put(
        TABLES + 0x4000,
        0x0900_0000 >> 21,
        0x0900_0000 - (0x0900_0000 % (1 << 21)) | AF | 1 << 2 | UXN | PXN | 1,
    )
    put(level1, 1, level2 | 3)
    put(level2, (BASE >> 21) & 511, pages | 3)
    put(level2, (GUARDED >> 21) & 511, guarded | 3)
    for n in range(512):
        put(pages, n, BASE + n * 4096 | AF | SH | UXN | 3)
    for page, attributes in (
        (CODE, USER | RO), (USER_RW, USER | UXN | PXN), (KERNEL_RW, UXN | PXN),
        (USER_RO, USER | RO | UXN | PXN), (KERNEL_RO, RO | UXN | PXN),
    ):  # fmt: skip
        put(pages, (page >> 12) & 511, page | AF | SH | attributes | 3)
    put(guarded, (GUARDED >> 12) & 511, CODE | AF | SH | USER | RO | GP | 3)
    restricted = TABLES + 0x5000
    put(level1, 2, restricted | 3)
    for n in range(32):
        put(restricted, n, pages | n << 59 | 3)
    return bytes(found)


@dataclass
class Image:
    code: bytes
    scenarios: list[Scenario] = field(default_factory=list)

    def build(self, directory: Path) -> bytearray:
        assert len(self.scenarios) <= MOST
        memory = bytearray(SIZE)
        for at, what in (
            (BASE, _program(directory)),
            (TABLES, _tables()),
            (CODE, self.code),
            (RECORDS, b"".join(s.pack() for s in self.scenarios)),
            (USER_RW, bytes(range(1, 256)) * 64),
            (RECURSIVE, struct.pack("<Q", RECURSIVE | AF | SH | UXN | PXN | 3) * 8192),
        ):
            memory[at - BASE : at - BASE + len(what)] = what
        return memory


def _records(raw: bytes, count: int) -> list[dict[str, int]]:
    assert len(raw) >= count * STRIDE, f"{len(raw)} bytes of results for {count} scenarios"
    return [
        dict(zip(NAMES, struct.unpack_from("<23Q", raw, n * STRIDE), strict=True))
        for n in range(count)
    ]


def run_on_qemu(image: Image, directory: Path, cpu: str = "max") -> list[dict[str, int]]:
    qemu = shutil.which("qemu-system-aarch64")
    assert qemu is not None
    file, out = directory / "image.bin", directory / "out.bin"
    memory = image.build(directory)
    hlt = struct.pack("<I", 0xD440_0000 | 0x123 << 5)
    at = memory.index(hlt)
    memory[at : at + 4] = struct.pack("<I", 0xD503_201F)
    file.write_bytes(memory)
    command = [
        qemu, "-M", "virt", "-cpu", cpu, "-m", "128", "-display", "none", "-monitor", "none",
        "-serial", f"file:{out}",
        "-device", f"loader,file={file},addr={BASE:#x},cpu-num=0,force-raw=on",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)
    return _records(out.read_bytes(), len(image.scenarios))


def run_on_processor(
    image: Image, directory: Path, features: Sequence[str] = SYSTEM
) -> list[dict[str, int]]:
    memory = image.build(directory)
    ram = mmap.mmap(-1, SIZE)
    ram[:] = bytes(memory)
    physical = PhysicalMemory()
    physical.map(0, BASE, ram)
    cpu = Processor(physical, identification=LSE)
    give(cpu, *features)
    cpu.hcr_el2 = 1 << 31 | HCR_API | HCR_APK
    cpu.cnthctl_el2 = 3
    cpu.set_hlt_exit(0x123)
    cpu.pc = BASE
    code = cpu.run(cpu.instructions + 10_000_000)
    assert code == EXIT_HLT, f"exit {code} at {cpu.pc:#x}, ESR_EL2 {cpu.esr_el2:#x}"
    at = RESULTS - BASE
    return _records(ram[at : at + len(image.scenarios) * STRIDE], len(image.scenarios))
