"""Backtraces by call frame information and by prologue analysis, and that the two agree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.arm64.instructions import without_pac
from guestdbg.debugger import Guest, Image, load
from guestdbg.debugger.unwind.prologue_analysis import caller, frame_state

from .conftest import EXAMPLES, Load

# As optimised firmware is built, but without tail calls, so that there are frames to find.
FLAGS = (
    *("-O2", "-g", "-std=gnu11", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-fno-pie"),
    *("-mstrict-align", "-mgeneral-regs-only", "-fomit-frame-pointer"),
    *("-fasynchronous-unwind-tables", "-fno-optimize-sibling-calls", "-fno-ipa-cp", "-fno-inline"),
    *("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096"),
    "-Wl,-z,noseparate-code",
)
GCC = shutil.which("aarch64-linux-gnu-gcc")
LIBC = Path("/usr/aarch64-linux-gnu/lib/libc.so.6")

needs_gcc = pytest.mark.skipif(GCC is None, reason="aarch64-linux-gnu-gcc is not installed")
needs_libc = pytest.mark.skipif(not LIBC.exists(), reason="libc6-arm64-cross is not installed")


@pytest.fixture(scope="module")
def without_frame_pointers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counter example, built like optimised firmware: no frame pointers, but .eh_frame."""
    assert GCC is not None
    directory = tmp_path_factory.mktemp("cfi")
    script = (EXAMPLES / "common/guest.ld").read_text()
    kept = script.replace("*(.note.*) *(.eh_frame)", "*(.note.*)")
    kept = kept.replace("\t.data :", "\t.eh_frame : { *(.eh_frame) } :text\n\t.data :")
    assert kept.count("*(.eh_frame)") == 1
    (directory / "guest.ld").write_text(kept)
    path = directory / "counter.elf"
    common = [EXAMPLES / "common" / f"{n}.c" for n in ("console", "exception", "memory")]
    assembly = [EXAMPLES / "common" / f"{n}.S" for n in ("start", "vectors")]
    command = [GCC, *FLAGS, f"-I{EXAMPLES / 'common'}", "-T", str(directory / "guest.ld")]
    sources = [*assembly, *common, EXAMPLES / "counter/counter.c"]
    subprocess.run([*command, "-o", str(path), *map(str, sources)], check=True)
    return path


def chain(guest: Guest) -> list[str | None]:
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    return [frame.location.function for frame in stop.hit.backtrace()]


@needs_gcc
def test_by_call_frame_information(without_frame_pointers: Path) -> None:
    with load(without_frame_pointers, provider="soft", console=None, memory="16M") as guest:
        assert len(guest.images[0].frames) > 5
        guest.run(until="main", timeout=60)
        guest.watch("counter")
        names = chain(guest)
        assert names[:5] == ["count", "inner", "middle", "outer", "main"]
        for point in list(guest.points):
            point.delete()
        guest.break_("put_char")
        names = chain(guest)
        assert names[0] == "put_char"
        assert "main" in names


@needs_gcc
def test_every_instruction_of_a_call_has_the_same_callers(without_frame_pointers: Path) -> None:
    """Stepping a function from its entry to its return does not change its callers."""
    for path in (without_frame_pointers, EXAMPLES / "counter.elf"):
        with load(path, provider="soft", console=None, memory="16M") as guest:
            guest.run(until="middle", timeout=60)
            core = guest.execution.vcpus[0]
            expected = ["middle", "outer", "main"]
            steps = 0
            while True:
                names = [frame.location.function for frame in core.backtrace(guest.cpu.pc, 64)]
                if "middle" not in names:
                    break
                assert names[names.index("middle") :][:3] == expected, guest.cpu.location
                assert names[: names.index("middle")] in ([], ["inner"], ["count", "inner"])
                guest.step()
                steps += 1
            assert steps > 10
            assert guest.locate(guest.cpu.pc).function == "outer"


@needs_libc
def test_prologue_analysis_agrees_with_call_frame_information() -> None:
    """Both give the same frame for thousands of instructions of a C library."""
    image = Image(LIBC)
    text = image._elf.get_section_by_name(".text")
    assert text is not None
    base, data = text["sh_addr"], text.data()
    sp = 0x7000_0000

    def read(address: int) -> int:
        return address * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1

    agree = differ = 0
    functions = [s for s in image.symbols if s.kind.name == "FUNCTION" and s.size > 8]
    for symbol in functions[5::60]:
        start = symbol.address
        code = data[start - base : start - base + (symbol.size & ~3)]
        for pc in range(start, start + len(code), 4):
            state = frame_state(code, start, pc)
            if state is None:
                continue
            registers = {n: 0x1000 + n for n in range(31)} | {31: sp}
            if state.fp is not None and state.moved is not None:
                registers[29] = sp - state.moved + state.fp
            by_cfi = image.frames.caller(pc, registers, read)
            by_code = caller(state, registers, read, True)
            if by_cfi is None or by_code is None:
                continue
            assert by_cfi[31] == by_code[31], f"{symbol.name} at {pc:#x}"
            # After the loads of an epilogue the values are both in the registers and in memory.
            if all(by_cfi[n] == by_code[n] for n in (29, 30)):
                agree += 1
            else:
                differ += 1
    assert agree > 1500
    assert differ * 100 < agree


def test_frame_records_are_enough(start: Load) -> None:
    """Without symbols only the chain of X29 is left, which does not have a leaf's caller."""
    guest = start("counter")
    address = guest.symbol("count").address
    guest.images.clear()
    guest.run(until=address, timeout=60)
    frames = guest.execution.vcpus[0].backtrace(guest.cpu.pc, 64)
    assert len(frames) >= 4
    assert all(frame.location.function is None for frame in frames)


def test_a_broken_stack_ends_the_backtrace(start: Load) -> None:
    guest = start("counter")
    guest.run(until="count", timeout=60)
    core = guest.execution.vcpus[0]
    for fp in (0, 1, 8, 0x4000_0000, 0xFFFF_FFFF_FFFF_FFF8, guest.cpu.sp):
        guest.cpu.x[29] = fp
        frames = core.backtrace(guest.cpu.pc, 64)
        assert frames[0].location.function == "count"
        assert len(frames) <= 64
    # A frame record that points at itself would be followed without end.
    sp = guest.cpu.sp
    guest.write_u64(sp, sp)
    guest.write_u64(sp + 8, guest.symbol("main").address + 8)
    guest.cpu.x[29] = sp
    assert len(core.backtrace(guest.cpu.pc, 64)) <= 64
    assert len(core.backtrace(guest.cpu.pc, 2)) <= 2


def test_pac_bits_are_removed() -> None:
    assert without_pac(0x0041_0000_4020_1000) == 0x4020_1000
    assert without_pac(0xFF5E_FF80_0020_1000) == 0xFF5E_FF80_0020_1000 & 0x0000_FFFF_FFFF_FFFF
    assert without_pac(0x12BF_FF80_0020_1000) == 0xFFFF_FF80_0020_1000
