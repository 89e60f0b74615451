"""The history of Linux: Debian's 6.1 with a disk, a network card and a shell that is typed at."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from guestdbg.debugger import Guest, Hit
from guestdbg.kvm.soft.vgic import save as vgic_save
from guestdbg.machine import Time
from tests.history import digest as plain
from tests.linux.shell import Shell, at_prompt

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

DISK_BYTES = 1 << 20
#: A write to the disk, one to the card, and what many processes and both timers take part in.
COMMANDS = (
    "dd if=/dev/urandom of=/dev/vda bs=4k count=20 conv=fsync 2>/dev/null; md5sum /dev/vda",
    "ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ping -c 1 10.0.2.2 | grep received",
    "sleep 0.05; (ls -lR /sys/bus | md5sum) & cat /proc/interrupts; wait",
    "head -c 32 /dev/hwrng | md5sum; cat /proc/uptime",
)

Seen = list[tuple[Time, object]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(random.Random(3).randbytes(DISK_BYTES))
    return path


def digest(guest: Guest) -> tuple[str, object, object]:
    """The state of the guest, with its interrupt controller, time, and which vCPUs wait."""
    from guestdbg.kvm.soft.snapshot.snapshots import SoftSnapshot

    snapshot = guest.board.snapshot().vm
    assert isinstance(snapshot, SoftSnapshot)
    assert snapshot.vgic is not None
    waiting = [(state["waiting"], state["irq_lines"]) for _, state in snapshot.vcpus]
    return plain.digest(guest), vgic_save.to_values(snapshot.vgic), (snapshot.machine, waiting)


def see(guest: Guest, seen: Seen) -> None:
    seen.append((guest.history.now, digest(guest)))


def type_all(shell: Shell, seen: Seen, commands: tuple[str, ...], stops: int) -> list[str]:
    """The answers to the commands, with stops while they are computed."""
    guest, rng, answers = shell.guest, random.Random(8), []
    for command in commands:
        shell.type(command.encode())
        see(guest, seen)  # with what was typed
        for _ in range(stops):
            guest.run(max_instructions=rng.randrange(1000, 100_000))
            see(guest, seen)
        answers.append(shell.to_prompt())
        shell.output.clear()
    guest.run(max_instructions=100_003)
    see(guest, seen)
    return answers


def go_everywhere(guest: Guest, seen: Seen, steps: int) -> None:
    """To all times in a random order, and a few instructions back from there and on again."""
    history, rng = guest.history, random.Random(9)
    order = list(seen)
    rng.shuffle(order)
    for n, (time, expected) in enumerate(order):
        guest.goto(time)
        assert digest(guest) == expected, f"at {time}"
        if n < steps:
            count = rng.randrange(1, 30_000)
            before = history.reverse_step(count)
            there = digest(guest)
            guest.goto(time)
            assert digest(guest) == expected, f"at {time}, from {before}"
            guest.goto(before)
            assert digest(guest) == there


def check_last_write(guest: Guest, start: Time, end: Time, name: str) -> None:
    """It is the last one that a watched run from ``start`` to ``end`` sees."""
    guest.goto(end)
    here = digest(guest)
    found = guest.history.last_write(name, 8)
    assert found is not None
    assert digest(guest) == here
    guest.goto(start)
    seen: list[tuple[Time, int, object, object]] = []
    watch = guest.watch(name, 8)

    @watch
    def _(hit: Hit) -> None:
        seen.append((guest.history.now, hit.pc, hit.old, hit.new))

    while guest.history.now < end:
        left = end.position.turn - guest.history.now.position.turn
        guest.run(max_instructions=10_000 if left > 2 else 500)
    watch.delete()
    before = [each for each in seen if each[0] <= end]
    assert before
    assert (found.time, found.pc, found.old, found.new) == before[-1]
    assert found.backtrace()[0].pc == found.pc


@pytest.fixture(params=[2, pytest.param(4, marks=pytest.mark.soak)])
def vcpus(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def test_every_time_is_as_it_was(image: Path, vcpus: int) -> None:
    """In the boot and at the prompt; what was typed and came from the network comes in again."""
    contents = image.read_bytes()
    many = vcpus > 2
    options = {"drives": [f"{image},overlay"], "net": "user", "entropy": True, "seed": 5}
    with at_prompt("bookworm", vcpus=vcpus, history=True, **options) as shell:
        guest, seen = shell.guest, Seen()
        answers = type_all(shell, seen, COMMANDS, 12 if many else 2)
        assert "1 packets received" in answers[1]
        end = seen[-1]
        go_everywhere(guest, seen, 20 if many else 3)
        check_last_write(guest, seen[0][0], seen[-2][0], "jiffies")
        guest.history.goto_end()
        assert (guest.history.now, digest(guest)) == end
        guest.run(max_instructions=1)  # nothing is typed where it was seen
        assert answers[0].split("md5sum /dev/vda")[-1].split()[0] in shell.ask("md5sum /dev/vda")
        # From the beginning to a place in the boot, and from there to the end again.
        guest.goto(guest.history.begin)
        guest.run(max_instructions=300_000_011)
        boot_time, there = guest.history.now, digest(guest)
        guest.history.reverse_step(100)
        guest.goto(boot_time)
        assert digest(guest) == there
        guest.goto(end[0])
        assert digest(guest) == end[1]
        guest.history.goto_end()
        assert shell.ask("echo on") == "on\n"
    assert image.read_bytes() == contents
