"""All page tables of Linux at its prompt, read through GDB as pwndbg does for `vmmap`."""

from bench import linux_gdb

#: Finds the mappings of both halves, 4 KiB granules and four levels, in physical memory mode.
#: It prints `TABLES <count>` and `RATE <seconds>`.
SCRIPT = """
import struct
MASK = (1 << 48) - (1 << 12)
inferior = gdb.selected_inferior()
tables = [0]

def packet(text):
    return gdb.execute("maintenance packet " + text, to_string=True)

def register(name):
    return int(gdb.selected_frame().read_register(name)) & (1 << 64) - 1

def scan(address, level, start, found):
    tables[0] += 1
    size = 1 << 3 + 9 * level
    for descriptor in struct.unpack("<512Q", inferior.read_memory(address, 4096)):
        if descriptor & 1:
            if level == 1 or not descriptor & 2:
                found.append((start, size, descriptor))
            else:
                scan(descriptor & MASK, level - 1, start, found)
        start += size

def walk():
    found = []
    packet("Qqemu.PhyMemMode:1")
    try:
        scan(register("TTBR0_EL1") & MASK, 4, 0, found)
        scan(register("TTBR1_EL1") & MASK, 4, 0xFFFF << 48, found)
    finally:
        packet("Qqemu.PhyMemMode:0")
    return found

best = None
for _ in range(5):
    tables[0] = 0
    begin = time.perf_counter()
    found = walk()
    seconds = time.perf_counter() - begin
    best = seconds if best is None else min(best, seconds)
if len(found) < 10000:
    raise gdb.GdbError("%d mappings: this is not the kernel's address space" % len(found))
print("TABLES", tables[0])
print("RATE", best)
"""


def guestdbg_seconds() -> float:
    """On guestdbg's server."""
    return linux_gdb.figure_on_guestdbg(SCRIPT)


def qemu_seconds() -> float:
    """On QEMU's gdbstub."""
    return linux_gdb.figure_on_qemu(SCRIPT)
