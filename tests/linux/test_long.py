"""Long runs of Linux, by `make soak`: a hundred boots, steps, Python's tests and a compiler."""

from pathlib import Path

import pytest

from guestdbg.debugger.execution import ResumeAction
from guestdbg.lab import LabError
from guestdbg.lab.guests.debian import debian_disk
from tests.linux.shell import at_prompt
from tests.linux.support import BOOTARGS, commands, run

pytestmark = pytest.mark.soak

PACKAGES = ("python3", "libpython3.11-testsuite", "gcc", "libc6-dev")
PYTHON_TESTS = ("test_math", "test_struct", "test_decimal", "test_json", "test_zlib")


@pytest.mark.timeout(7200)
def test_a_hundred_boots_are_equal() -> None:
    first = run(dialogue=commands(b"cat /proc/uptime", b"cat /proc/interrupts"), vcpus=2, seed=1)
    assert first.stop.detail == "powered off", first.text
    for _ in range(99):
        again = run(
            dialogue=commands(b"cat /proc/uptime", b"cat /proc/interrupts"), vcpus=2, seed=1
        )
        assert (again.output, again.instructions) == (first.output, first.instructions)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("suite", ["bookworm", "sid"])
def test_steps_beside_busy_vcpus_end(suite: str) -> None:
    """Of a CPU with an interrupt pending, whose handler needs locks that the others hold."""
    rounds, steps, interrupts_off = 2000, 3, 0x80
    work = "while :; do (cat /proc/interrupts; /bin/true) > /dev/null; done & "
    with at_prompt(suite, vcpus=4) as shell:
        guest = shell.guest
        shell.ask(work * 4)
        shell.output.clear()  # a prompt in it would end each run
        guest.run(max_instructions=300_000_000)
        stepped = guest.vcpus[0]
        for n in range(rounds):
            guest.run(max_instructions=20_011 + 7 * n)
            while stepped.reg("pstate") & interrupts_off:
                guest.run(max_instructions=301)
            guest.board.console.feed(b"k")  # the UART's interrupt is CPU 0's
            for _ in range(steps):
                actions = {v: ResumeAction(step=v == 0) for v in range(4)}
                stop = guest.resume(actions, timeout=120)
                assert (stop.reason, stop.cpu.id) == ("step", 0), (n, stop)


@pytest.fixture(scope="session")
def disk() -> Path:
    try:
        return debian_disk(PACKAGES, "bookworm")
    except LabError as error:
        pytest.skip(f"no root file system: {error}")


def on_debian(disk: Path, *lines: bytes, vcpus: int = 1) -> list[str]:
    """What each of the lines has printed, typed in a Debian whose root file system is the disk."""
    found = run(
        dialogue=[*commands(*lines)[:-1], (b"guest# ", b"exit\n")],
        drives=[f"{disk},overlay"],
        memory="1G",
        vcpus=vcpus,
        bootargs=f"{BOOTARGS} root=/dev/vda rw",
        max_instructions=1_000_000_000_000,
    )
    assert found.stop.detail == "powered off", found.text
    return [found.answer(line.decode()) for line in lines]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PYTHON_TESTS)
def test_python_passes_its_own_tests(disk: Path, name: str) -> None:
    (text,) = on_debian(disk, f"python3 -m test -u all,-largefile -v {name}".encode())
    assert "Tests result: SUCCESS" in text, text[-4000:]


@pytest.mark.timeout(7200)
def test_gcc_compiles_and_its_program_runs(disk: Path) -> None:
    program = r'#include <stdio.h>\nint main(void) { printf("%%d\\n", 6 * 7); return 3; }\n'
    *_, ran = on_debian(
        disk,
        f"printf '{program}' > /tmp/a.c".encode(),
        b"gcc -O2 -o /tmp/a /tmp/a.c",
        b"/tmp/a; echo status $?",
    )
    assert ran == "42\nstatus 3\n"
