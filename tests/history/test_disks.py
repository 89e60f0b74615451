"""The files of disks are those that the guest had, or an error says that they are not."""

import os
from pathlib import Path

import pytest

import guestdbg
from guestdbg.errors import GuestdbgError
from guestdbg.history import OutsideHistory
from guestdbg.machine import MachineError
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(bytes(512))


def write(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("option", ["overlay", "readonly"])
@pytest.mark.parametrize("change", [grow, write])
def test_a_file_that_another_program_changes(tmp_path: Path, option: str, change) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    with guestdbg.load(
        QUEUE, console=None, provider="soft", drives=[f"{disk},{option}"], history=True
    ) as guest:
        guest.run(max_instructions=100_000)
        snapshot = guest.snapshot()
        guest.goto(50_000)
        guest.history.goto_end()
        here = digest(guest)
        change(disk)
        for back in (
            lambda: guest.goto(50_000),
            guest.reverse_step,
            lambda: guest.history.last_write("queue.tail"),
            lambda: guest.restore(snapshot),
        ):
            with pytest.raises(GuestdbgError, match=f"{disk}: another program has changed"):
                back()
        with pytest.raises(OutsideHistory):
            guest.goto(100_001)
        assert digest(guest) == here
        guest.history.branch()
        guest.run(max_instructions=1000)
        guest.cpu.x[3] = 1


def test_a_disk_that_is_written_directly_has_no_history(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    with guestdbg.load(QUEUE, console=None, provider="soft", drives=[disk]) as guest:
        with pytest.raises(MachineError, match="add the drive with overlay, or with readonly"):
            guest.history.start()
        assert not guest.has_history
        guest.run(max_instructions=1000)


def test_hits_in_handlers_have_their_time() -> None:
    hits = []
    with guestdbg.load(QUEUE, console=None, provider="soft", history=True) as guest:
        guest.watch("queue.tail")(hits.append)
        guest.break_("job_finish")(hits.append)
        guest.run(max_instructions=20_000)
        assert len(hits) > 30
        assert [hit.time.position for hit in hits] == sorted(hit.time.position for hit in hits)
        for hit in hits[::7]:
            guest.goto(hit)
            if hit.new is None:
                assert guest.cpu.pc == hit.pc
            else:
                assert guest["queue.tail"].value_() == hit.new
