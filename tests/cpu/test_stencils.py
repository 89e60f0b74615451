"""Blocks that become machine code (translation.pyx) do what the interpreter does.

The same guests run on both, with thresholds between one entry and many, in pieces that end
anywhere, armed and not. And the machine code itself is looked at.
"""

from __future__ import annotations

import mmap
import os
import platform
import random
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import capstone
import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu import tier, translation
from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

from .support import MDE
from .test_coverage import counted, edges, map_of
from .test_determinism import TDE_TDA, TOTAL, Armed, Guest, same

ROOT = Path(__file__).parents[2]
NEXT, TAKEN, NOT_TAKEN = 1, 2, 3  # stencils/holes.py


@contextmanager
def processors(which: str, entries: int = 1, *, at_random: bool = False) -> Iterator[None]:
    """Processors made inside execute so."""
    before = tier.chosen()
    why = tier.use(which, entries, seed=1 if at_random else None)
    try:
        if why is not None:
            pytest.skip(f"no stencils: {why}")
        yield
    finally:
        tier.use_again(before)


def guest(
    kind: type[Guest], seed: int, which: str, entries: int = 1, *, at_random: bool = False
) -> Guest:
    with processors(which, entries, at_random=at_random):
        return kind(seed)


# ---- equality ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int) -> None:
    """At random limits; the interpreter in one piece."""
    reference = guest(Guest, seed, "interpreter")
    reference.run()
    for entries, at_random in ((1, False), (6, True)):
        one = guest(Guest, seed, "stencils", entries, at_random=at_random)
        one.run(random.Random(seed))
        same(one, reference)
        assert one.p.tier_statistics()["translated"] > 50
    assert reference.p.tier_statistics()["translated"] == 0


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_armed(seed: int) -> None:
    """Each with its own points, which are hit and stepped past, so at other places."""
    reference = guest(Armed, seed, "interpreter")
    reference.run(random.Random(seed))
    one = guest(Armed, seed, "stencils", 3, at_random=True)
    one.run(random.Random(-seed))
    assert one.p.instructions >= TOTAL
    same(one, reference)
    assert one.p.tier_statistics()["dropped"] > 0


@pytest.mark.parametrize("form", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_coverage(seed: int, form: int) -> None:
    """It finds the same, and what it counts is machine code all the same."""
    found = []
    for which in ("interpreter", "stencils"):
        one = guest(Guest, seed, which, 2, at_random=True)
        one.p.start_coverage(form)
        one.run(random.Random(seed + form))
        found.append((counted(one.p), edges(one.p), one))
    assert found[0][:2] == found[1][:2]
    same(found[0][2], found[1][2])
    assert found[1][2].p.tier_statistics()["translated"] > 20


@pytest.mark.parametrize("seed", range(4))
def test_a_map_of_edges(seed: int) -> None:
    maps = []
    for which, form in (("interpreter", 3), ("interpreter", 4), ("stencils", 4)):
        one = guest(Guest, seed, which, 2, at_random=True)
        counters = bytearray(1 << 12)
        if form == 4:
            one.p.start_coverage_map(counters)
        else:
            one.p.start_coverage(form)
        one.run(random.Random(seed))
        maps.append(bytes(counters) if form == 4 else map_of(edges(one.p), 1 << 12))
        if which == "stencils":
            assert one.p.tier_statistics()["translated"] > 20
    assert maps[0] == maps[1] == maps[2]
    assert any(maps[0])


# add x0, x0, #1; str x0, [x1]; ldr d0, .+64; str d0, [x1, #8]; cmp x0, x2; b.ne .-20; b .
LOOP_WORDS = [
    *(0x9100_0400, 0xF900_0020, 0x5C00_0200, 0xFD00_0420, 0xEB02_001F, 0x54FF_FF61),
    0x1400_0000,
]


def looping(base: int) -> tuple[Processor, bytearray]:
    memory = PhysicalMemory()
    ram = bytearray(0x4000)
    memory.map(0, base, ram)
    for n, word in enumerate(LOOP_WORDS):
        ram[4 * n : 4 * n + 4] = word.to_bytes(4, "little")
    ram[0x48:0x50] = bytes(range(1, 9))  # what the literal is
    p = Processor(memory)
    p.pc = base
    p.pstate = 0x3C5
    p.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1.FPEN
    p.set_x(1, base + 0x1000)
    p.set_x(2, 1 << 40)
    return p, ram


def without_stencils(p: Processor) -> int:
    """Of the instructions of blocks that were translated."""
    found = p.tier_statistics()
    assert found["translated"] == 1
    return found["bridges"]


@pytest.mark.parametrize("form", [1, 2, 3])
def test_a_loop_that_is_counted(form: int) -> None:
    """The hook is executed before the first instruction's machine code, and removed with form 1."""
    with processors("stencils", 2):
        p, _ = looping(0x4000_0000)
        p.start_coverage(form)
        for n in range(1, 5):
            assert p.run(600 * n) == EXIT_LIMIT
        assert p.get_x(0) == 400
        assert without_stencils(p) == 0
        assert counted(p) == {(1, 0x4000_0000 + 4 * n): 1 if form == 1 else 400 for n in range(6)}
        assert edges(p) == ({((1, 0x4000_0014), 0x4000_0000): 400} if form == 3 else {})


def test_a_loop_that_is_counted_in_a_map() -> None:
    with processors("stencils", 2):
        p, _ = looping(0x4000_0000)
        counters = bytearray(64)
        p.start_coverage_map(counters)
        for n in range(1, 5):
            assert p.run(600 * n) == EXIT_LIMIT
        assert without_stencils(p) == 0
        assert counters == map_of(Counter({((1, 0x4000_0014), 0x4000_0000): 400}), 64)


@pytest.mark.parametrize("at", range(6))
def test_a_loop_with_a_breakpoint(at: int) -> None:
    """For another context: compared each time; the other instructions are machine code."""
    with processors("stencils", 2):
        p, _ = looping(0x4000_0000)
        p.pstate = 0x1C5
        p.mdscr_el1 = MDE
        p.mdcr_el2 = TDE_TDA
        bcr, bvr, nothing = [0] * p.breakpoints, [0] * p.breakpoints, [0] * 16
        bcr[0], bvr[0] = 1 << 20 | 4 << 16 | 0x1E7, 0x4000_0000 + 4 * at
        bcr[4], bvr[4] = 3 << 20 | 0x1E7, 77
        p.load_debug(bcr, bvr, nothing, nothing)
        assert p.run(600) == EXIT_LIMIT
        assert (p.get_x(0), without_stencils(p)) == (100, 1)
        bcr[0] = 0x1E7
        p.load_debug(bcr, bvr, nothing, nothing)
        assert p.run(1200) == EXIT_EL2
        assert p.pc == 0x4000_0000 + 4 * at


@pytest.mark.parametrize("base", [0x4000_0000, 0x8000_0000, 0x12_3456_0000])
def test_a_literal_anywhere(base: int) -> None:
    """Its address has more than the 32 bits of other instructions' offsets."""
    with processors("stencils", 2):
        p, ram = looping(base)
        assert p.run(600) == EXIT_LIMIT
        assert (p.get_x(0), p.tier_statistics()["translated"]) == (100, 1)
        assert ram[0x1008:0x1010] == bytes(range(1, 9))


@pytest.mark.parametrize("step", [4, 8, 12, 20])
def test_code_that_changes_itself(step: int) -> None:
    """The stores go through the loop's own instructions: it must not go on in old code."""
    ends = []
    for which in ("interpreter", "stencils"):
        with processors(which, 2):
            p, ram = looping(0x4000_0000)
            assert p.run(600) == EXIT_LIMIT
            for n in range(40):
                p.set_x(1, 0x4000_0000 + step * n % 28)
                p.set_x(0, (0xD503_201F << 32 | 0x9100_0400 + (n % 5 << 10)) - 1)
                p.run(p.instructions + 50)
                p.pc = 0x4000_0000
            ends.append((p.instructions, [p.get_x(k) for k in range(31)], bytes(ram)))
            dropped = p.tier_statistics()["dropped"]
    assert ends[0] == ends[1]
    assert dropped > 0


def test_code_that_is_always_written_again_is_not_translated_for_a_while() -> None:
    with processors("stencils", tier.ENTRIES):
        p, ram = looping(0x4000_0000)
    for n in range(500):
        p.pc = 0x4000_0000
        assert p.run(p.instructions + 6 * 40) == EXIT_LIMIT
        ram[0:4] = (0x9100_0400 | (n & 7) << 10).to_bytes(4, "little")
        p.memory.code_changed(0x4000_0000, 4)
    assert 1 <= p.tier_statistics()["translated"] <= 4
    p.pc = 0x4000_0000
    p.run(p.instructions + 6 * (tier.ENTRIES << 12) + 100)
    assert p.tier_statistics()["translated"] <= 5
    before = p.tier_statistics()["dropped"]
    p.run(p.instructions + 600)
    assert p.tier_statistics()["dropped"] == before


def test_lost_translations_are_bounded_by_the_instructions() -> None:
    """Whatever pages they are in."""
    pages = 3000
    memory = PhysicalMemory()
    ram = bytearray(pages << 12)
    memory.map(0, 0x4000_0000, ram)
    with processors("stencils", tier.ENTRIES):
        p = Processor(memory)
    p.pstate = 0x3C5
    for n in range(2 * pages):
        at = n % pages << 12
        for k in range(4):  # four loops: add x0, x0, #1; b .-4
            place = at + 0x40 * k
            ram[place : place + 8] = (0x17FF_FFFF << 32 | 0x9100_0400).to_bytes(8, "little")
            p.pc = 0x4000_0000 + place
            p.run(p.instructions + 2 * 40)
        memory.code_changed(0x4000_0000 + at, 4096)
    statistics = p.tier_statistics()
    assert 4096 < statistics["dropped"] <= 4096 + p.instructions // 8192 + 8
    assert statistics["translated"] <= statistics["dropped"] + 8


def test_a_process_that_forks() -> None:
    """Both have machine code of their own, which they extend differently."""
    with processors("stencils", 2):
        p, ram = looping(0x4000_0000)
        for n in range(3):  # add x0, x0, #n; b .-4, each a page's part that was not executed yet
            at = 0x800 + 0x40 * n
            ram[at : at + 8] = (0x17FF_FFFF << 32 | 0x9100_0400 + (n << 10)).to_bytes(8, "little")
        p.run(600)
        read, write = os.pipe()
        child = os.fork()
        places = [0x4000_0840, 0x4000_0880] if child else [0x4000_0880, 0x4000_0840, 0x4000_0880]
        p.set_x(0, 0)
        for place in places:
            p.pc = place
            p.run(p.instructions + 2000)
        if not child:
            os.write(write, p.get_x(0).to_bytes(8, "little"))
            os._exit(0)
        os.waitpid(child, 0)
        assert int.from_bytes(os.read(read, 8), "little") == 8000
        assert p.get_x(0) == 5000


# ---- the machine code -------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """What this host's machine code looks like."""

    engine: tuple[int, int]
    calls: str  # mnemonics of calls and of what enters the kernel
    jumps: str  # of jumps to places that the instruction names
    ends: str  # of what nothing falls through
    bridge: bytes  # what lies before each block
    fill: bytes
    dropped: bytes  # how a dropped block begins: with a jump to its bridge

    def disassembled(self, code: bytes) -> list[capstone.CsInsn]:
        found = list(capstone.Cs(*self.engine).disasm(code, 0))
        assert sum(len(insn.bytes) for insn in found) == len(code), "not all of it is code"
        return found

    def calling(self, code: list[capstone.CsInsn]) -> list[capstone.CsInsn]:
        return [insn for insn in code if re.fullmatch(self.calls, insn.mnemonic)]


HOSTS = {
    "x86_64": Host(
        engine=(capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        calls="call.*|syscall|int.*",
        jumps="j.*",
        ends="jmp|ret|ud2",
        # lea rsi, [rip + ...]; jmp [rip + ...]; three NOPs
        bridge=rb"\x48\x8d\x35....\xff\x25....\x90\x90\x90",
        fill=b"\x90",
        dropped=b"\xeb\xee",
    ),
    "aarch64": Host(
        engine=(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
        calls="blr?|svc|hvc|smc|brk",
        jumps=r"b|b\..*|cbn?z|tbn?z",
        ends="br?|ret|udf",
        # adrp x3, i; add x1, x3, i; ldr x3, [x3, i]; mov x16, x3; br x16; three NOPs
        bridge=rb"...[\x90\xb0\xd0\xf0]...\x91...\xf9...\xaa\x00\x02\x1f\xd6(?:\x1f\x20\x03\xd5){3}",
        fill=b"\x1f\x20\x03\xd5",
        dropped=b"\xf8\xff\xff\x17",
    ),
}


@pytest.fixture
def host() -> Host:
    found = HOSTS.get(platform.machine())
    if found is None:
        pytest.skip(f"no stencils on {platform.machine()}")
    return found


def test_stencils_call_nothing(host: Host) -> None:
    """A return address in machine code would be one into memory that may be emptied."""
    with processors("stencils"):
        found = translation.stencils()
    assert len(found) > 900
    for module, op, hot, cold, last, patches in found:
        for part in (hot, cold):
            assert not host.calling(host.disassembled(part)), (module, hex(op))
        # It ends with a jump, unless that was cut off because it leads to what follows.
        end = (host.disassembled(cold or hot) or [None])[-1]
        if cold or not last:
            assert end is not None
            assert re.fullmatch(host.ends, end.mnemonic), (module, hex(op))
        assert last in (0, NEXT, TAKEN, NOT_TAKEN)
        assert all(offset < len(hot) + len(cold) for offset, *_ in patches)


def test_blocks_are_jumps_all_the_way(host: Host) -> None:
    with processors("stencils", 1):
        it = Guest(3)
        it.run()
        _address, code = it.p.machine_code()
    assert len(re.findall(host.bridge, code, re.DOTALL)) > 20
    blocks = re.split(host.bridge, code, flags=re.DOTALL)
    blocks = [block for block in blocks if block.replace(host.fill, b"")]
    assert sum(block.startswith(host.dropped) for block in blocks) > 10
    alive = [block for block in blocks if not block.startswith(host.dropped)]
    assert len(alive) > 10
    for block in alive:
        found = host.disassembled(block)
        assert not host.calling(found)
        # Jumps lead to instructions, of this block or elsewhere.
        starts = {insn.address for insn in found}
        for insn in found:
            place = re.search(r"#?(0x[0-9a-f]+)$", insn.op_str)
            if re.fullmatch(host.jumps, insn.mnemonic) and place:
                target = int(place[1], 16)
                assert target in starts or not 0 <= target < len(block)


def test_it_is_not_writable() -> None:
    if sys.platform != "linux":
        pytest.skip("/proc")
    with processors("stencils", 1):
        it = Guest(3)
        it.run()
        address, _ = it.p.machine_code()
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights = line.split()[:2]
        first, end = (int(part, 16) for part in place.split("-"))
        if first <= address < end:
            assert rights == "r-xp"
            break
    else:
        pytest.fail("it is not in /proc/self/maps")


def test_holes_in_the_address_space() -> None:
    """Decoded blocks and machine code are near each other, wherever the host has room for them."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    sizes = [70 << 20, 3 << 30] * 4
    # The decoded blocks alone fit into each of the holes.
    *memory, _ = [mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ) for size in sizes]
    for hole in memory[::2]:
        hole.close()
    with processors("stencils", 1), warnings.catch_warnings(action="error"):
        found = [Guest(3) for _ in memory]
        for it in found:
            it.run(until=1000)
    assert all(it.p.tier_statistics()["translated"] for it in found)
    for rest in memory[1::2]:
        rest.close()


# ---- what the environment says ----------------------------------------------------------------


def reported_tier(**environment: str) -> tuple[str, str]:
    """(the tier, what was reported) of a process with this environment."""
    code = "import guestdbg.cpu.processor; from guestdbg.cpu import tier; print(tier.status())"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GUESTDBG_TIER")}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return result.stdout.strip(), result.stderr


def test_a_tier_that_does_not_exist_is_reported_once() -> None:
    found, text = reported_tier(GUESTDBG_TIER="fast")
    assert found.startswith(tier.DEFAULT)
    assert text.count("GUESTDBG_TIER='fast': must be one of interpreter, stencils, auto") == 1


@pytest.mark.parametrize("entries", ["0", "-1", "many", "2147483648", "random:0", "random:x"])
def test_a_threshold_that_is_none_is_reported(entries: str) -> None:
    _, text = reported_tier(GUESTDBG_TIER="stencils", GUESTDBG_TIER_ENTRIES=entries)
    wrong = f"GUESTDBG_TIER_ENTRIES={entries!r}: must be 1 to 2147483647, 'random', or"
    assert text.count(wrong) == 1
    assert text.count("Warning") == 1


@pytest.mark.parametrize("entries", ["1", "2147483647", "random", "random:5"])
def test_thresholds(entries: str) -> None:
    with processors("stencils"):
        pass
    found = reported_tier(GUESTDBG_TIER="stencils", GUESTDBG_TIER_ENTRIES=entries)
    assert found == ("stencils", "")


def test_the_tiers_that_exist() -> None:
    assert reported_tier(GUESTDBG_TIER="interpreter") == ("interpreter", "")
    with processors("stencils"):
        pass
    for which in ("stencils", "auto", ""):
        assert reported_tier(GUESTDBG_TIER=which) == ("stencils", "")


# Blocks mprotect() with PROT_EXEC, or all of it, with EACCES from here on, as a sandbox does.
FORBID = """
import ctypes, struct
def forbid(mask):
    libc = ctypes.CDLL(None, use_errno=True)
    words = [
        (0x20, 0, 0, 0), (0x15, 0, 4 if mask else 2, 10),  # the number: mprotect?
        *([(0x20, 0, 0, 32), (0x54, 0, 0, mask), (0x15, 1, 0, 0)] if mask else [(0x15, 0, 0, 0)]),
        (0x06, 0, 0, 0x50000 | 13), (0x06, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("<HBBI", *word) for word in words)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("<HxxxxxxQ", len(words), ctypes.addressof(held))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    if libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):
        print("no seccomp"); raise SystemExit
"""


def on_a_host_that_forbids(code: str, **environment: str) -> tuple[list[str], str]:
    """(lines of output, what was reported) of code that calls forbid(4) for executable memory, or
    forbid(0) for any change of protection."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the filter is one of Linux on x86-64")
    result = subprocess.run(
        [sys.executable, "-c", FORBID + code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, (result.returncode, result.stderr)
    if "no seccomp" in result.stdout:
        pytest.skip("this host has no seccomp filters")
    return result.stdout.splitlines(), result.stderr


@pytest.mark.parametrize("which", ["stencils", "auto"])
def test_a_host_that_forbids_executable_memory(which: str) -> None:
    with processors("stencils"):
        pass
    lines, text = on_a_host_that_forbids(
        "forbid(4)\nimport guestdbg.cpu.processor; from guestdbg.cpu import tier\n"
        "print(tier.status())",
        GUESTDBG_TIER=which,
    )
    why = "the host forbids executable memory (mprotect: Permission denied)"
    assert lines == [f"interpreter ({why})"]
    assert text.count(f"GUESTDBG_TIER=stencils: {why}; the interpreter is used") == (
        which == "stencils"
    )
    assert text.count("Warning") == (which == "stencils")


@pytest.mark.parametrize("mask", [4, 0])
@pytest.mark.parametrize("seed", range(4))
def test_a_host_that_forbids_it_later(mask: int, seed: int) -> None:
    """What was translated cannot be executed any more, and is not: the guest goes on."""
    reference = guest(Guest, seed, "interpreter")
    reference.run()
    lines, text = on_a_host_that_forbids(
        "from guestdbg.cpu import tier\n"
        "from tests.cpu.test_determinism import Guest, TOTAL\n"
        f"tier.use('stencils', 1); it = Guest({seed}); after = Guest({seed})\n"
        f"it.run(until=TOTAL // 2); forbid({mask}); it.run(); after.run(); Guest({seed}).run()\n"
        "print(it.state()); print(after.state()); print(tier.status())\n"
        "print(it.p.tier_statistics()['translated'])",
    )
    assert lines[:2] == [str(reference.state())] * 2
    assert lines[2].startswith("stencils (the interpreter for some processors: the host forbids")
    assert text.count("Warning") == 1
    assert "the host forbids executable memory" in text


def test_too_little_address_space() -> None:
    """For one processor, it is reported once, and others go on as they were."""
    with processors("stencils"):
        pass
    code = (
        "import re, resource\n"
        "from guestdbg.cpu import tier\n"
        "from tests.cpu.test_determinism import Guest\n"
        "tier.use('stencils', 1)\n"
        "first = Guest(1)\n"
        "text = open('/proc/self/status').read()\n"
        "size = int(re.search(r'VmSize:\\s+(\\d+)', text)[1]) << 10\n"
        # A processor has 64 MiB for decoded blocks, and 48 MiB for machine code.
        "resource.setrlimit(resource.RLIMIT_AS, (size + (90 << 20), size + (90 << 20)))\n"
        "second = Guest(1)\n"
        "first.run(); second.run(); second.run()\n"
        "print(first.state() == second.state(), first.p.tier_statistics()['translated'] > 50,\n"
        "      second.p.tier_statistics()['translated'])\n"
        "print(tier.status())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = result.stdout.splitlines()
    assert lines[0] == "True True 0"
    assert lines[1].startswith("stencils (the interpreter for some processors: the host has no mem")
    assert result.stderr.count("Warning") == 1


def test_a_build_without_stencils() -> None:
    """`guestdbg caps` says so; only who asked for them is warned."""
    code = (
        "from guestdbg.cpu import translation\n"
        "class Without:\n"
        "    def __getattr__(self, name): return getattr(translation, name)\n"
        "    def load(self, modules): return translation.load([])\n"
        "import guestdbg.cpu, sys\n"
        "guestdbg.cpu.translation = sys.modules['guestdbg.cpu.translation'] = Without()\n"
        "from guestdbg.cli import main\n"
        "main(['caps'], prog_name='guestdbg', standalone_mode=False)\n"
    )
    for which in ("auto", "stencils"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"GUESTDBG_TIER": which},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        assert "executed by interpreter (this build has no stencils)" in result.stdout
        warning = "GUESTDBG_TIER=stencils: this build has no stencils; the interpreter is used"
        assert result.stderr.count(warning) == (which == "stencils")


# ---- the processor's own tests ----------------------------------------------------------------


def on_stencils(entries: str, *tests: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        env=os.environ | {"GUESTDBG_TIER": "stencils", "GUESTDBG_TIER_ENTRIES": entries},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.soak
@pytest.mark.parametrize("entries", ["1", "random"])
def test_all_tests_of_the_processor_pass_on_stencils(entries: str) -> None:
    with processors("stencils"):
        pass
    on_stencils(entries, "-m", "not soak", "tests/cpu")
