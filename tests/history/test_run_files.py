"""A recorded run goes through a file: another process repeats it, bit by bit."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.container import (
    RECORDED_RUN,
    ContainerError,
    ContainerFile,
    Section,
    write_container,
)
from guestdbg.container.values import decode, encode
from guestdbg.debugger import Guest, SavedGuest
from guestdbg.errors import GuestdbgError
from guestdbg.history import BudgetTooSmall, InThePast, NotRecorded, run_file
from guestdbg.machine import ReplayError
from guestdbg.semihosting import Semihosting
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES, U_BOOT

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"

Seen = list[tuple[Any, str]]


#: A run that was recorded with stencils, where there are some, is repeated without and with others.
INTERPRETER = {"GUESTDBG_TIER": "interpreter"}
ALL_STENCILS = {"GUESTDBG_TIER": "auto", "GUESTDBG_TIER_ENTRIES": "1"}


def replayed(path: Path, seen: Seen, tier: dict[str, str]) -> dict[str, Any]:
    """What another process finds at these times, and at the end."""
    times = json.dumps([[*time.position, time.pc] for time, _ in seen])
    command = [sys.executable, "-m", "tests.history.replayed", str(path), times]
    result = subprocess.run(
        command, env=os.environ | tier, capture_output=True, text=True, check=True, timeout=200
    )
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check(
    path: Path, guest: Guest, seen: Seen, tier: dict[str, str] = INTERPRETER
) -> dict[str, Any]:
    """Save the run of ``guest``; another process finds the same. Returns what it says."""
    here = digest(guest)
    guest.history.save(path)
    assert digest(guest) == here, "saving does not move the guest"
    guest.history.goto_end()
    found = replayed(path, seen, tier)
    assert found["digests"] == [each for _, each in seen]
    assert found["digest"] == digest(guest)
    assert found["moved"] == "", "what is passed over is not printed"
    return found


def at_random(guest: Guest, rnd: random.Random, stops: int = 12) -> Seen:
    """Let the guest run and stop here and there; what it was then, in another order."""
    seen: Seen = []
    for _ in range(stops):
        stop = guest.run(max_instructions=rnd.choice([1, 2, 100, 5_000, 12_345, 250_000]))
        seen.append((stop.time, digest(guest)))
        if stop.reason != "limit":
            break
    rnd.shuffle(seen)
    return seen


@pytest.mark.parametrize(
    ("path", "vcpus"), [(QUEUE, 1), (SMP, 2), (SMP, 4)], ids=lambda v: getattr(v, "stem", v)
)
def test_another_process_repeats_it(path: Path, vcpus: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"vcpus": vcpus, "provider": "soft", "memory": "8M", "cpu": "max"}
    with guestdbg.load(path, console=None, history=True, **options) as guest:
        seen = at_random(guest, random.Random(vcpus))
        if vcpus == 4:  # saved from the past: that does not matter
            guest.goto(seen[0][0])
        found = check(tmp_path / "run", guest, seen)
        if vcpus == 1:  # the others have come to the end
            assert found["stop"][:2] == ["history", "the end of the recorded run"]
        guest.run()
        found = check(tmp_path / "run", guest, seen, ALL_STENCILS)
        assert found["stop"][0] == "exit"


def test_typed_input(tmp_path: Path) -> None:
    options: dict[str, Any] = {"kind": "firmware", "memory": "64M", "provider": "soft"}
    with guestdbg.load(U_BOOT, console=None, **options) as guest:
        guest.board.console.answer(b"Hit any key", b" ")
        guest.board.console.answer(b"=> ", b"version\n")
        guest.history.start()
        seen = []
        for count in (5_000_000, 9_000_000, 4_000_001):
            stop = guest.run(max_instructions=count)
            seen.append((stop.time, digest(guest)))
        check(tmp_path / "run", guest, seen)


def test_writes_of_the_user_and_a_branch(tmp_path: Path) -> None:
    """Also the very last one, after which the guest has not run."""
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=400_000)
        guest.goto(300_000)
        guest.history.branch()
        seen = []
        guest.break_("queue_push", kind="software")
        for n in range(7):
            guest.run()
            if n % 2:
                guest.cpu.x[28] = 0x1000 + n
            if n == 3:
                guest.write(guest.symbol("queue").address + 0x1000, bytes(4096))
            time = guest.history.now
            with guest.detached():  # the digest is of the guest's own memory
                seen.append((time, digest(guest)))
        del seen[6]  # there the next write comes
        guest.write_u64(guest.symbol("queue").address, 0x1234)
        for point in list(guest.points):
            point.delete()
        check(tmp_path / "run", guest, seen)


def test_semihosting_is_repeated_from_the_log(tmp_path: Path) -> None:
    """Nobody has to permit it, no file is touched, and what it printed is printed."""
    elf, output = EXAMPLES / "semihosting.elf", bytearray()
    (tmp_path / "files").mkdir()
    with guestdbg.load(
        elf,
        provider="soft",
        console=output.extend,
        history=True,
        semihosting=Semihosting(tmp_path / "files"),
    ) as guest:
        guest.board.console.feed(b"Ada\nquit\n")
        guest.board.console.input_ended = True
        stop = guest.run()
        end, printed = digest(guest), bytes(output)
        guest.goto(guest.history.begin)
        assert guest.run() == replace(stop, time=guest.history.now), "as it ended, again"
        assert (digest(guest), bytes(output)) == (end, printed)
        guest.history.save(tmp_path / "run")
    for file in (tmp_path / "files").iterdir():
        file.unlink()
    again = bytearray()
    with guestdbg.load(tmp_path / "run", console=again.extend) as guest:
        assert guest.run().detail == stop.detail
        assert (digest(guest), again) == (end, printed)
        guest.goto(guest.history.begin)
        guest.run()
        assert again == printed, "it is printed once"
    assert not list((tmp_path / "files").iterdir())


def test_it_goes_on_after_its_end(tmp_path: Path) -> None:
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=200_000)
        guest.history.save(tmp_path / "run")
        stop = guest.run(max_instructions=300_000)
        later, end = stop.time, digest(guest)
    with guestdbg.load((tmp_path / "run").read_bytes(), console=None, history="64M") as guest:
        history = guest.history
        assert history.in_past
        assert history.begin == history.now.position
        guest.run(max_instructions=50_000)
        with pytest.raises(InThePast):
            guest.cpu.x[0] = 1
        stop = guest.run()
        assert (stop.reason, stop.detail) == ("history", "the end of the recorded run")
        assert not history.in_past
        guest.run(max_instructions=300_000)
        assert (guest.history.now, digest(guest)) == (later, end)
        # A part of it was recorded here now; it can be saved and asked as any other.
        hit = history.last_write("queue.tail")
        guest.goto(10_000)
        assert history.next_write("queue.tail").time < hit.time
        history.save(tmp_path / "longer")
    with guestdbg.load(tmp_path / "longer", console=None) as guest:
        assert guest.history.end == later.position
        assert guest.history.last_write("queue.tail") is None
        guest.history.goto_end()
        assert digest(guest) == end
        assert str(guest.history.last_write("queue.tail")) == str(hit)
        guest.goto(hit)
        guest.history.branch()
        guest.cpu.x[3] = 5
        guest.run(max_instructions=1_000)


def test_what_the_user_wrote_last_comes_again() -> None:
    """Also when the guest comes to the end of its history by running."""
    found = []
    for goes_back in (False, True):
        with guestdbg.load(QUEUE, console=None, provider="soft", history=True) as guest:
            guest.run(max_instructions=1_000)
            guest.cpu.x[27] = 0x77
            if goes_back:
                guest.goto(400)
                guest.run(max_instructions=600)
            guest.run(max_instructions=100)
            found.append((guest.history.now, digest(guest)))
    assert found[0] == found[1]


def test_symbols_are_in_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elf = tmp_path / "guest.elf"
    elf.write_bytes(QUEUE.read_bytes())
    with guestdbg.load(elf, console=None, provider="soft", history=True) as guest:
        guest.run(max_instructions=1_000)
        guest.history.save(tmp_path / "run")
    elf.unlink()
    with guestdbg.load(tmp_path / "run", console=None) as guest:
        assert guest.symbol("queue").address
    assert not caplog.records


def test_another_processor_than_it_was_recorded_by(tmp_path: Path) -> None:
    """At the end it shows: here by memory of which the file says something else."""
    path = tmp_path / "run"
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=100_000)
        guest.history.save(path)
    sections = sections_of(path)
    (place,) = [n for n, each in enumerate(sections) if each.name == "run"]
    head = decode(sections[place].data, run_file._RECORDS)
    wrong = head._replace(end_digest="0" * 64)
    sections[place] = Section("run", encode(wrong))
    write_container(path, sections, RECORDED_RUN)
    with (
        guestdbg.load(path, console=None) as guest,
        pytest.raises(
            ReplayError, match=r"in another state than it was there.*recorded by guestdbg"
        ),
    ):
        guest.run()


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M") as guest:
        with pytest.raises(NotRecorded):
            guest.history.save(path)
        guest.save(tmp_path / "snapshot")
        guest.history.start()
        guest.run(max_instructions=1_000)
        guest.history.save(path)
        good = path.read_bytes()
        with pytest.raises(ContainerError, match="none/run: cannot be written"):
            guest.history.save(tmp_path / "none" / "run")
        guest.history.save(path)
        assert len(path.read_bytes()) == len(good)
    assert {each.name for each in tmp_path.iterdir()} == {"run", "snapshot"}
    for contents, words in (
        (good[:-1], "the recorded run is truncated: its end is missing"),
        (good[:18], "the recorded run is truncated"),
        (good[:5000] + b"!" + good[5001:], "the recorded run is damaged: its digest"),
        (good[:16] + b"\2" + good[17:], "recorded run of version 2; this guestdbg reads version 1"),
    ):
        with pytest.raises(ContainerError, match=words):
            guestdbg.load(contents, console=None)
    with pytest.raises(ContainerError, match=r"memory: a saved guest has its own.*recorded run"):
        guestdbg.load(path, console=None, memory="64M")
    with pytest.raises(ContainerError, match="a snapshot file of guestdbg, and not a recorded run"):
        run_file.SavedRun(tmp_path / "snapshot")
    with pytest.raises(ContainerError, match="a recorded run of guestdbg, and not a snapshot file"):
        SavedGuest(path)
    with pytest.raises(BudgetTooSmall):
        guestdbg.load(path, console=None, history="8K")


# ---- hostile files -----------------------------------------------------------------------------

NAMES = ("run", "manifest", "machine", "devices", "debugger", "pages", "turns", "inputs")
NAMES += ("checkpoint", "changed")


def sections_of(path: Path) -> list[Section]:
    file = ContainerFile(path, form=RECORDED_RUN)
    return [Section(name, data) for name in NAMES for data in file.sections(name)]


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> list[Section]:
    """Of two vCPUs, with input, semihosting and writes of the user."""
    path = tmp_path_factory.mktemp("run") / "run"
    with guestdbg.load(
        SMP, vcpus=2, console=None, provider="soft", memory="4M", history=True, semihosting=True
    ) as guest:
        guest.run(max_instructions=1_000)
        guest.board.console.feed(b"typed")
        guest.run(max_instructions=210_000)
        guest.write(guest.symbol("counter").address, bytes(8))
        guest.run(max_instructions=500)
        guest.cpu.x[28] = 7
        guest.history.save(path)
    sections = sections_of(path)
    assert {each.name for each in sections} == set(NAMES)
    return sections


def played(path: Path) -> str:
    """Load a file, and go through its run; what came of it."""
    try:
        with guestdbg.load(path, console=None, history="64M") as guest:
            guest.goto(guest.history.end)
            guest.goto(guest.history.begin)
            return guest.run(max_instructions=400_000).reason
    except GuestdbgError as error:
        return type(error).__name__


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_files(data: st.DataObject, a_run: list[Section], tmp_path: Path) -> None:
    """Every change that the digest does not show ends in an error of guestdbg, or in a guest."""
    sections = list(a_run)
    name = data.draw(st.sampled_from(NAMES))
    places = [n for n, each in enumerate(sections) if each.name == name]
    place = data.draw(st.sampled_from(places))
    damaged = bytearray(sections[place].data)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, damaged[at] ^ 1]))
    if data.draw(st.integers(0, 9)) == 0:
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    sections[place] = Section(name, bytes(damaged))
    how = data.draw(st.integers(0, 19))
    if how == 0:
        del sections[place]
    elif how == 1:
        sections.append(sections[place])
    write_container(tmp_path / "bad", sections, RECORDED_RUN)
    played(tmp_path / "bad")


def test_an_honest_file_is_played(a_run: list[Section], tmp_path: Path) -> None:
    write_container(tmp_path / "good", a_run, RECORDED_RUN)
    assert played(tmp_path / "good") in ("history", "exit")


def test_numbers_that_would_take_all_memory(a_run: list[Section], tmp_path: Path) -> None:
    (place,) = [n for n, each in enumerate(a_run) if each.name == "run"]
    head = decode(a_run[place].data, run_file._RECORDS)
    for field, value in (("turns", 1 << 40), ("inputs", 1 << 40), ("checkpoints", 1 << 20)):
        sections = list(a_run)
        sections[place] = Section("run", encode(head._replace(**{field: value})))
        write_container(tmp_path / "bad", sections, RECORDED_RUN)
        assert played(tmp_path / "bad") == "ContainerError"
    zeros = Section("inputs", encode([(0, 0, 0, "console", bytes(300 << 20), False)]))
    sections = [each for each in a_run if each.name != "inputs"] + [zeros] * 4
    write_container(tmp_path / "bad", sections, RECORDED_RUN)
    assert played(tmp_path / "bad") == "ContainerError"


def test_the_way_back_becomes_short(tmp_path: Path) -> None:
    """A file has no snapshots of the way: they are taken when the run is repeated first."""
    loop = EXAMPLES / "loop-endless.elf"
    with guestdbg.load(loop, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=300_000_000)
        end = digest(guest)
        guest.history.save(tmp_path / "run")
    with guestdbg.load(tmp_path / "run", console=None) as guest:
        checkpoints = guest.history._there.recorder.checkpoints
        assert len(checkpoints) == 1
        guest.history.goto_end()
        assert digest(guest) == end
        assert 20 < len(checkpoints) < 40
        positions = [each.position for each in checkpoints]
        assert positions == sorted(set(positions))
        sizes = sum(checkpoints._sizes)
        assert sizes == checkpoints.memory_size <= guest.history.memory_size
        guest.goto(123_456_789)
        then, places = digest(guest), list(checkpoints)
        guest.goto(guest.history.begin)
        guest.goto(123_456_789)
        assert digest(guest) == then
        assert list(checkpoints) == places
    with guestdbg.load(tmp_path / "run", console=None, history="300K") as guest:
        guest.history.goto_end()
        assert digest(guest) == end
        assert guest.history.memory_size <= 300 << 10
