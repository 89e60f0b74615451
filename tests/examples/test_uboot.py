"""U-Boot to its prompt, and commands there, with all debug registers in use (examples/uboot.py)."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import guestdbg
from bench.uboot_example import uboot_example
from guestdbg.kvm import SupportsDebugState, SupportsInstructionCount
from guestdbg.machine import Console
from tests.machine.guests import EXAMPLES, U_BOOT

pytestmark = pytest.mark.skipif(
    not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu"
)


@cache
def way() -> object:
    return uboot_example().find_the_way(U_BOOT, ["version", "md", "mw", "bdinfo"])


def test_it_boots_and_answers_while_all_registers_are_armed_and_hit() -> None:
    output = bytearray()
    stop, seen = uboot_example().watch_it(U_BOOT, way(), output.extend)
    assert stop.reason == "exit", stop
    hits = {one.name: one for one in seen}
    assert len(hits) == 10
    for once in ("reset vector", "start", "do_version", "do_md", "do_mw", "copy"):
        assert hits[once].hits == 1, once
    assert hits["do_bdinfo"].hits == 0, "this command was not typed"
    assert hits["device tree"].hits > 100
    assert hits["version text"].hits >= 1
    assert hits["shown memory"].hits == 2, "mw writes it, md reads it"

    assert hits["reset vector"].pc == 0
    copy = hits["copy"]
    assert 0 < copy.pc < 0x100000, "U-Boot in flash copies itself"
    first = int.from_bytes(U_BOOT.read_bytes()[:8], "little")
    assert copy.text.endswith(f"0x0 -> {first:#x}")
    moved_to = way().moved_to  # type: ignore[attr-defined]
    assert hits["do_md"].pc > moved_to
    assert hits["version text"].pc > moved_to
    assert "0x41000000, 0x0 -> 0x600dcafe" in hits["shown memory"].text

    text = output.decode()
    assert text.count("\n=> ") == 4
    assert "=> version\r\nU-Boot 20" in text
    assert "41000000: 600dcafe 00000000 00000000 00000000" in text


def test_all_debug_registers_are_in_the_hardware_meanwhile() -> None:
    module, found = uboot_example(), way()
    console = module.terminal(None, module.COMMANDS)
    with module.load(U_BOOT, console) as guest:
        vcpu = guest.board.vcpus[0]
        assert isinstance(vcpu, SupportsDebugState)
        for function in found.commands.values():  # type: ignore[attr-defined]
            guest.break_(function, kind="hardware")
        guest.break_(4, kind="hardware")(lambda hit: None)
        guest.break_(8, kind="hardware")(lambda hit: None)
        for at in range(4):
            guest.watch(module.SHOWN + 0x1000 * at, 8, access="any")(lambda hit: None)
        stop = guest.run(timeout=60)
        assert stop.reason == "hit"
        external = vcpu.debug_state.external
        assert [control & 1 for control in external.bcr[:6]] == [1] * 6
        assert [control & 1 for control in external.wcr[:4]] == [1] * 4
        with pytest.raises(guestdbg.GuestdbgError, match="7 breakpoint registers would be needed"):
            guest.break_(0xC, kind="hardware")
        with pytest.raises(guestdbg.GuestdbgError, match="5 watchpoint registers would be needed"):
            guest.watch(RAM_ELSEWHERE, 8)


RAM_ELSEWHERE = 0x4200_0000


def run(armed: bool) -> tuple[str, int]:
    """Console and number of instructions of a run to power-off."""
    output = bytearray()
    module, found = uboot_example(), way()
    console: Console = module.terminal(output.extend, module.COMMANDS)
    with module.load(U_BOOT, console) as guest:
        if armed:
            for function in found.commands.values():  # type: ignore[attr-defined]
                guest.break_(function, kind="hardware")(lambda hit: None)
            guest.watch(module.SHOWN, 8, access="any")(lambda hit: None)
            guest.watch(module.RAM, 8, access="read")(lambda hit: None)
            guest.watch(found.moved_to, 8)(lambda hit: None)  # type: ignore[attr-defined]
        assert guest.run(timeout=60).reason == "exit"
        vcpu = guest.board.vcpus[0]
        assert isinstance(vcpu, SupportsInstructionCount)
        return output.decode(), vcpu.instructions


def test_being_watched_changes_nothing() -> None:
    """With thousands of hits, output and number of instructions are the same as without."""
    assert run(armed=True) == run(armed=False)


def test_the_example_as_a_person_runs_it() -> None:
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "uboot.py")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "U-Boot relocates itself to 0x4" in result.stdout
    assert result.stdout.splitlines()[-1] == "end: exit, powered off"


def test_the_example_says_what_is_missing() -> None:
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "uboot.py"), str(Path("no-such-u-boot.bin"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "no no-such-u-boot.bin: install Debian's u-boot-qemu" in result.stdout
