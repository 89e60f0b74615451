"""The example guests: the committed files, on guestdbg and, as the reference, on QEMU."""

import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from guestdbg.kvm import Exit, ExitInternalError, ExitIntr, ExitSystemEvent
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.machine.loading import elf
from tests.machine.guests import ENDLESS, EXAMPLES, OUTPUT, guest, run_on_qemu, run_on_soft

COMPILER = "aarch64-linux-gnu-gcc"
EVERY = sorted([*OUTPUT, *ENDLESS])


def is_power_off(exit_: Exit) -> bool:
    return isinstance(exit_, ExitSystemEvent) and exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN


def test_every_example_is_tested() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.elf")) == EVERY


def producers(path: Path) -> set[str]:
    with path.open("rb") as file:
        dwarf = ELFFile(file).get_dwarf_info()
        return {
            unit.get_top_DIE().attributes["DW_AT_producer"].value.decode()
            for unit in dwarf.iter_CUs()
        }


@pytest.mark.parametrize("name", EVERY)
def test_debug_information_leads_to_our_sources(name: str) -> None:
    with guest(name).open("rb") as file:
        units = [unit.get_top_DIE() for unit in ELFFile(file).get_dwarf_info().iter_CUs()]
        places = {
            Path(unit.attributes["DW_AT_comp_dir"].value.decode())
            / unit.attributes["DW_AT_name"].value.decode()
            for unit in units
        }
    assert places
    for place in places:
        assert (EXAMPLES.parent / place).is_file(), place


def test_the_committed_guests_are_what_the_sources_build(tmp_path: Path) -> None:
    """They build; with the same compiler, the files have the same contents."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    copy = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("*.elf", "__pycache__"))
    result = subprocess.run(["make", "-C", str(copy)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr
    for name in EVERY:
        built, committed = copy / f"{name}.elf", guest(name)
        if producers(built) == producers(committed):
            parsed, expected = (elf.parse(path.read_bytes()) for path in (built, committed))
            assert parsed == expected, f"{name}: run make in examples/ and commit what it built"


@pytest.mark.parametrize("name", OUTPUT)
def test_on_our_processor(name: str) -> None:
    exit_, output = run_on_soft(guest(name))
    assert output == OUTPUT[name]
    assert is_power_off(exit_), exit_


@pytest.mark.parametrize("name", OUTPUT)
@pytest.mark.slow
def test_qemu_agrees(name: str) -> None:
    """QEMU gives the same output, so it does not depend on guestdbg."""
    assert run_on_qemu("-kernel", str(guest(name))).replace(b"\r\n", b"\n") == OUTPUT[name]


def test_a_guest_without_vectors_is_told_apart_from_one_that_works() -> None:
    """Its aborts retire no instruction, so a limit of instructions does not end it."""
    exit_, _ = run_on_soft(guest("lost"))
    assert isinstance(exit_, ExitInternalError)
    assert "is VBAR_EL1 set" in exit_.text


@pytest.mark.parametrize("name", [name for name in ENDLESS if name != "lost"])
def test_endless_guests_end_at_their_limit(name: str) -> None:
    exit_, output = run_on_soft(guest(name), max_instructions=200_000)
    assert isinstance(exit_, ExitIntr)
    assert output.startswith(b"flood: line 0\nflood: line 1\n") == (name == "flood")


def test_the_loop_turns_as_often_as_it_is_told() -> None:
    """loop_count can be set before the start: its last turn stores it in loop_data."""
    with guest("loop").open("rb") as file:
        symbols = {
            symbol.name: symbol["st_value"]
            for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()
        }
    last: list[bytes] = []
    exit_, _ = run_on_soft(
        guest("loop"),
        prepare=lambda board: board.write_phys(symbols["loop_count"], (1234).to_bytes(8, "little")),
        inspect=lambda board: last.append(board.read_phys(symbols["loop_data"], 8)),
    )
    assert is_power_off(exit_), exit_
    assert last == [(1234).to_bytes(8, "little")]
