"""Programs in the guest that use hardware breakpoints and watchpoints, by ptrace and by perf.

As KVM has it: while debug registers are armed from outside, those of the guest do not fire, but
keep their values and read back; afterwards they fire again.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import Guest
from guestdbg.lab.image.cpio import Cpio

from .support import BOOTARGS, PROMPT, linux

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

GCC = "aarch64-linux-gnu-gcc"
SECONDS = 100
FIRES = "watched 3 reached 3 registers kept exit 7"
DOES_NOT_FIRE = "watched 0 reached 0 registers kept exit 7"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which(GCC) is None, reason=f"no {GCC}: tools/setup-tests installs it"
    ),
]


class Shell:
    """The guest at its prompt, with the programs as /hwdbg and /perfmem."""

    def __init__(self, initrd: bytes, version: str) -> None:
        self.version = version
        self.output = bytearray()
        self.guest: Guest = guestdbg.load(
            linux().kernel,
            initrd=initrd,
            bootargs=BOOTARGS,
            memory="256M",
            provider="soft",
            linux=version,
            console=self._wrote,
        )
        self.to_prompt()

    def _wrote(self, data: bytes) -> None:
        self.output += data
        if PROMPT in self.output:
            self.guest.interrupt()

    def to_prompt(self) -> None:
        stop = self.guest.run(timeout=SECONDS)
        assert stop.reason == "interrupt", (stop, bytes(self.output[-500:]))

    def program(self, name: str = "hwdbg") -> str:
        """What the program prints."""
        self.output.clear()
        self.guest.board.console.feed(f"/{name}\n".encode())
        self.to_prompt()
        return self.output.decode(errors="replace").replace("\r", "").split("\n")[1]


@pytest.fixture(scope="module", params=["6.1", "6.14"], ids=lambda version: f"KVM of {version}")
def shell(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Shell]:
    archive = Cpio()
    for name in ("hwdbg", "perfmem"):
        built = tmp_path_factory.mktemp(name) / name
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run([GCC, "-O1", "-static", "-o", built, source], check=True)
        archive.file(name, built.read_bytes(), 0o755)
    shell = Shell(linux().initrd.read_bytes() + archive.finish(), request.param)
    yield shell
    shell.guest.close()


@pytest.fixture(autouse=True)
def _no_points(shell: Shell) -> Iterator[None]:
    yield
    for point in shell.guest.points:
        point.delete()


def test_they_fire_when_nothing_is_armed(shell: Shell) -> None:
    assert shell.program() == FIRES


def test_they_keep_their_values_while_registers_are_armed(shell: Shell) -> None:
    guest = shell.guest
    points = [guest.watch(guest.linux.address + 0x10000, 8), guest.break_("panic")]
    assert shell.program() == DOES_NOT_FIRE
    for point in points:
        point.delete()
    assert shell.program() == FIRES


def test_perf_counts_what_it_watches_unless_registers_are_armed(shell: Shell) -> None:
    """`perf record -e mem:ADDR:w`, by its system call. The program goes on as always."""
    guest = shell.guest
    assert shell.program("perfmem") == "value 15 counted 5"
    watch = guest.watch(guest.linux.address + 0x10000, 8)
    assert shell.program("perfmem") == "value 15 counted 0"
    watch.delete()
    assert shell.program("perfmem") == "value 15 counted 5"


def test_hits_from_outside_at_the_system_calls_that_set_them(shell: Shell) -> None:
    guest = shell.guest
    call = guest.break_("__arm64_sys_ptrace")
    call(lambda hit: None)
    assert shell.program() == DOES_NOT_FIRE
    assert call.hits > 5
    call.delete()
    assert shell.program() == FIRES


def test_software_breakpoints_alone(shell: Shell) -> None:
    """A BRK takes no register.

    Until Linux 6.13 the guest's registers stay in the hardware, and what they hit is handed back
    to it; but KVM hides MDSCR_EL1.SS from the hardware, so that the step after it does not end.
    Since 6.14 the guest's registers are not there while userspace debugs.
    """
    guest = shell.guest
    call = guest.break_("__arm64_sys_ptrace", kind="software")
    call(lambda hit: None)
    fires_once = "watched 0 reached 1 registers kept exit 7"
    assert shell.program() == (fires_once if shell.version == "6.1" else DOES_NOT_FIRE)
    assert call.hits > 5
    call.delete()
    assert shell.program() == FIRES
