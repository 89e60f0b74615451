"""The programs of `bench/suite`, and how to run them on guestdbg, on QEMU and on Unicorn.

Each run is checked by the checksum that the program leaves in memory. Figures are millions of
instructions per second. The number of instructions is what guestdbg retires; it is the same for all
tools, because the program is the same.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

import guestdbg
from bench import qemu
from bench.measurement import Unavailable
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.kvm.coverage import CoverageForm

DIRECTORY = Path(__file__).parent / "suite"
RAM = 0x4000_0000
RAM_SIZE = 16 << 20
LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Program:
    """A program, the number of rounds in its ELF file, and the checksum after these rounds."""

    name: str
    what: str
    rounds: int
    checksum: int

    @property
    def path(self) -> Path:
        return DIRECTORY / f"{self.name}.elf"


PROGRAMS = (
    Program("sort", "quicksort of 4,096 numbers", 300, 0xAC588BD74936E6C8),
    Program("hash", "SHA-256 of 4 KiB", 600, 0xB6FE74239DB8C27D),
    Program("crc", "CRC-32 of 16 KiB, by a table", 900, 0x8FC60AABB87D21B3),
    Program("search", "Horspool's string search in 64 KiB", 400, 0x9E1AF83103E12784),
    Program("matrix", "product of integer matrices, 64 by 64", 60, 0x95A27ED627BAE428),
    Program("list", "linked list of 2,048: sorted, reversed, thinned", 250, 0x9F1782E4C7E0F6D2),
    Program("interpreter", "a register machine that looks for primes", 100, 0x6C896D22DD34DAAD),
    Program("copy", "memcpy of any alignment", 600, 0x9F0A1522389C3346),
)

# These live on scalar double, scalar single, vectors of integers, and vectors of floats.
FP_PROGRAMS = (
    Program("bodies", "the Sun and four planets, in double", 1500, 0x7FF34E27B7C2DB00),
    Program("equaliser", "four biquads over 2,048 samples, in single", 1250, 0xF8A9485F4224394C),
    Program("image", "images blended and compared, by integer vectors", 2400, 0x637E473450D5EEC0),
    Program("product", "product of float matrices, 64 by 64, by vectors", 300, 0x97EF3676C78B28A1),
)


@dataclass(frozen=True)
class Run:
    """The result of a run: seconds from the first instruction to the end, and the checksum."""

    seconds: float
    checksum: int
    instructions: int | None = None


@cache
def symbols(path: Path) -> dict[str, int]:
    """The addresses of the symbols of an ELF file."""
    with path.open("rb") as file:
        table: Any = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: int(symbol["st_value"]) for symbol in table.iter_symbols()}


@contextmanager
def loaded(
    program: Program, rounds: int | None, *, history: bool = False
) -> Iterator[guestdbg.Guest]:
    """A program on guestdbg, not started; `rounds` None: the number in its ELF file."""
    with guestdbg.load(program.path, console=None, history=history) as guest:
        if rounds is not None:
            guest.write_u64(guest.symbol("rounds").address, rounds)
        yield guest


def on_guestdbg(
    program: Program,
    rounds: int | None = None,
    *,
    history: bool = False,
    coverage: CoverageForm | None = None,
) -> Run:
    """Run on guestdbg; only this run has the number of instructions."""
    with loaded(program, rounds, history=history) as guest:
        if coverage is not None:
            guest.coverage(counts=coverage == "counts", edges=coverage == "edges")
        start = time.perf_counter()
        stop = guest.run(timeout=LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        if stop.reason != "exit":
            raise RuntimeError(f"{program.name} did not power off: {stop}")
        vcpu = guest.vcpus[0].vcpu
        if not isinstance(vcpu, SupportsInstructionCount):
            raise Unavailable("this provider does not count instructions")
        checksum = guest.read_u64(guest.symbol("checksum").address)
        return Run(seconds, checksum, vcpu.instructions)


def on_qemu(program: Program, rounds: int | None = None) -> Run:
    """Run on QEMU. The seconds are from `continue` to the power-off, without QEMU's start."""
    addresses = symbols(program.path)
    # QEMU does not end at the power-off, so that the memory can be read.
    with qemu.stub(program.path, "-no-shutdown") as stub:
        if rounds is not None:
            data = rounds.to_bytes(8, "little").hex()
            if stub.command(f"M{addresses['rounds']:x},8:{data}") != "OK":
                raise RuntimeError("QEMU refused to write the number of rounds")
        start = time.perf_counter()
        stub.send("c")
        reply = stub.answer()
        seconds = time.perf_counter() - start
        # With -no-shutdown QEMU stops at the power-off, with a T packet.
        if not reply.startswith("T"):
            raise RuntimeError(f"{program.name} on QEMU ended with {reply}")
        data = stub.command(f"m{addresses['checksum']:x},8")
    return Run(seconds, int.from_bytes(bytes.fromhex(data), "little"))


def on_unicorn(program: Program, rounds: int | None = None) -> Run:
    """Run on Unicorn, without hooks, up to the symbol `finished`."""
    try:
        import unicorn
    except ImportError:
        raise Unavailable("the Python package unicorn is not installed") from None
    # The binding has no type annotations.
    library: Any = unicorn
    machine = library.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    machine.mem_map(RAM, RAM_SIZE)
    with program.path.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            machine.mem_write(segment["p_paddr"], segment.data())
    addresses = symbols(program.path)
    if rounds is not None:
        machine.mem_write(addresses["rounds"], rounds.to_bytes(8, "little"))
    start = time.perf_counter()
    machine.emu_start(addresses["_start"], addresses["finished"])
    seconds = time.perf_counter() - start
    return Run(seconds, int.from_bytes(machine.mem_read(addresses["checksum"], 8), "little"))


@cache
def counted(program: Program, rounds: int | None) -> Run:
    """A run on guestdbg for its number of instructions and checksum, which every run has."""
    return on_guestdbg(program, rounds)


def check(program: Program, run: Run, rounds: int | None) -> None:
    """Raises RuntimeError if the checksum is not the program's, or with `rounds` not guestdbg's."""
    expected = program.checksum if rounds is None else counted(program, rounds).checksum
    if run.checksum != expected:
        raise RuntimeError(f"{program.name} answered {run.checksum:#x} instead of {expected:#x}")


def mips(
    run_program: Callable[[Program, int | None], Run],
    rounds: int | None = None,
    programs: tuple[Program, ...] = PROGRAMS,
) -> dict[str, float]:
    """Run every program once; returns millions of instructions per second for each."""
    figures = {}
    for program in programs:
        run = run_program(program, rounds)
        check(program, run, rounds)
        instructions = run.instructions or counted(program, rounds).instructions
        if not instructions:
            raise Unavailable("this provider does not count instructions")
        figures[program.name] = instructions / run.seconds / 1e6
    return figures
