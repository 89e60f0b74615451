"""`guestdbg explain`, as a user calls it."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import debug, registers
from guestdbg.cli import main
from tests.cli.on_terminal import Terminal, python


def guestdbg(*args: str) -> Result:
    return CliRunner().invoke(main, ["explain", *args], prog_name="guestdbg")


def test_the_syndrome_of_a_breakpoint() -> None:
    result = guestdbg("esr_el2", "0xc2000022")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "ESR_EL2 = 0xc2000022: Breakpoint exception from a lower Exception level"
    assert "EC = 0x30: Breakpoint exception from a lower Exception level" in lines[1]
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", sorted(registers.REGISTERS))
def test_every_register_can_be_explained(name: str) -> None:
    for value in ("0", "0xffffffffffffffff", "0x5555555555555555"):
        result = guestdbg(name.lower(), value)
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{name} = {int(value, 0):#x}: ")
    layout = guestdbg(name)
    assert layout.exit_code == 0
    for field in registers.REGISTERS[name].fields:
        assert f"{field.bits:>8}  {field.name}" in layout.output


def test_fields_make_a_value() -> None:
    assert guestdbg("mdscr_el1", "MDE=1", "kde=1").output.startswith("MDSCR_EL1 = 0xa000: ")
    watch = guestdbg("esr", "ec=0x34", "il=1", "wnr=1", "DFSC=0x22")
    assert watch.output.startswith("ESR_EL2 = 0xd2000062: ")


@given(st.integers(0, (1 << 48) - 1), st.integers(1, 200))
def test_watch_shows_the_registers_for_the_range(address: int, length: int) -> None:
    result = guestdbg("watch", hex(address), str(length), "--access", "any")
    if address + length > 1 << 52:
        return
    shown = re.findall(r"DBGW([CV])R(\d+)_EL1 = (0x[0-9a-f]{16})", result.output)
    pairs = debug.watchpoint(address, length, "any")
    expected = []
    for n, pair in enumerate(pairs):
        expected += [("V", str(n), f"{pair.value:#018x}"), ("C", str(n), f"{pair.control:#018x}")]
    assert shown == expected
    assert ("watchpoint registers, usually" in result.output) == (len(pairs) > 4)


def test_watch_takes_sizes_as_people_write_them() -> None:
    result = guestdbg("watch", "0x40100000", "64K")
    assert "writes of 64 KiB, 0x40100000 to 0x4010ffff: one watchpoint" in result.output
    assert "MASK = 16: 64 KiB" in result.output


def test_break() -> None:
    result = guestdbg("break", "0x40080000")
    assert result.exit_code == 0
    assert "DBGBCR0_EL1 = 0x00000000000001e7" in result.output
    assert "DBGBVR0_EL1 = 0x0000000040080000" in result.output
    assert "0x00000000000001e3" in guestdbg("break", "0x40080000", "--el", "el1").output


def test_list_names_every_register() -> None:
    lines = guestdbg("list").output.splitlines()
    names = {line.split()[0] for line in lines if not line.startswith(" ")}
    assert names == set(registers.REGISTERS)


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("esr_e2", "1"), 1, "no register is called 'esr_e2'; did you mean ESR_EL2"),
        (("wtach", "1", "1"), 1, "no register is called 'wtach'"),
        (("mdscr_el1", "zde=1"), 1, "did you mean MDE"),
        (("mdscr_el1", "MDE=2"), 1, "MDE = 0x2 does not fit bits [15]"),
        (("esr_el2", "0x1ffffffffffffffff"), 1, "which has 64 bits"),
        (("esr_el2", "c2000022"), 2, "did you mean 0xc2000022?"),
        (("esr_el2", "many"), 2, "'many' is not a number"),
        (("esr_el2", "1", "2"), 2, "give one VALUE"),
        (("esr_el2", "EC=1", "2"), 2, "'2' is not FIELD=N"),
        (("break", "0x40080002"), 1, "not a multiple of 4"),
        (("break", "0x40080000", "--el", "el2"), 2, "el2"),
        (("watch", "0x1000", "0"), 1, "is empty"),
        (("watch", "0x1000", "four"), 2, "is not a number"),
        (("watch", "0x1001", "4095", "--registers", "4"), 1, "need 10 watchpoint registers"),
        (("watch", "0x10000000000000", "8"), 1, "neither half"),
        (("watch", "0x1000"), 2, "Missing argument"),
    ],
)
def test_mistakes_get_one_clear_line(args: tuple[str, ...], status: int, words: str) -> None:
    result = guestdbg(*args)
    assert result.exit_code == status, result.output
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("args", [(), ("watch",), ("break",), ("esr_el2",), ("list",)])
def test_help_has_an_example(args: tuple[str, ...]) -> None:
    result = guestdbg(*args, "--help")
    assert result.exit_code == 0
    assert re.search(r"Examples?:\n\s+guestdbg explain ", result.output)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["esr_el2", "0xd2000062"], ["Watchpoint exception", "WnR", "caused by a write"]),
        (["watch", "0x1000", "12"], ["DBGWVR1_EL1", "BAS = 0xf"]),
        (["break", "0x1000"], ["DBGBCR0_EL1", "EL1 and EL0"]),
    ],
)
def test_colours_on_a_terminal_say_the_same(args: list[str], words: list[str]) -> None:
    run = f"from guestdbg.cli import main; main({['explain', *args]!r}, prog_name='guestdbg')"
    with Terminal(python(run)) as terminal:
        assert terminal.wait() == 0
        screen = terminal.raw
    assert "\x1b[" in screen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert all(word in plain for word in words), plain
