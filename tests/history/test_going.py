"""Going to a time gives every bit of the guest as it was then, and changes nothing."""

import random
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import Guest
from guestdbg.history import BudgetTooSmall, InThePast, NotRecorded, OutsideHistory
from guestdbg.kvm import KvmError
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES, U_BOOT

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"
GUESTS = [(QUEUE, 1), (SMP, 2), (SMP, 4), (EXAMPLES / "pid.elf", 1), (EXAMPLES / "mmu.elf", 1)]
MOST = 12_000_000


def load(path: Path, vcpus: int, output: bytearray, **options: Any) -> Guest:
    options.setdefault("memory", "8M")
    return guestdbg.load(path, vcpus=vcpus, console=output.extend, provider="soft", **options)


@pytest.mark.parametrize(("path", "vcpus"), GUESTS, ids=lambda value: getattr(value, "stem", value))
def test_a_time_is_as_it_was(path: Path, vcpus: int) -> None:
    plain, output, rnd = bytearray(), bytearray(), random.Random(vcpus)
    with load(path, vcpus, plain) as guest:
        guest.run(max_instructions=MOST)
        final = digest(guest)
    with load(path, vcpus, output, history=True) as guest:
        seen = []
        for _ in range(12):
            stop = guest.run(max_instructions=rnd.choice([1, 2, 100, 5_000, 12_345, 250_000]))
            seen.append((stop.time, digest(guest)))
            if stop.reason != "limit":
                break
        retired = sum(cpu.vcpu.instructions for cpu in guest.vcpus)
        guest.run(max_instructions=MOST - retired)
        assert digest(guest) == final, "stops and history do not change a run"
        for _ in range(20):
            time, expected = rnd.choice(seen)
            guest.goto(time)
            assert digest(guest) == expected
            if time.position > guest.history.begin and rnd.random() < 0.5:
                guest.reverse_step(rnd.choice([1, 3, 50]))
        guest.history.goto_end()
        assert digest(guest) == final
        guest.goto(seen[0][0])
        guest.run(max_instructions=MOST - sum(cpu.vcpu.instructions for cpu in guest.vcpus))
        assert digest(guest) == final
    assert output == plain, "what is repeated is not printed again"


def test_steps_back_are_the_steps_forward_in_reverse() -> None:
    with load(QUEUE, 1, bytearray(), history=True) as guest:
        guest.break_("queue_push", ignore=100)
        guest.run()
        forward = [digest(guest)]
        for _ in range(60):
            guest.step()
            forward.append(digest(guest))
        back = [digest(guest)]
        for _ in range(60):
            guest.reverse_step()
            back.append(digest(guest))
        assert back == forward[::-1]


def test_typed_input_comes_in_again() -> None:
    output = bytearray()
    with guestdbg.load(
        U_BOOT, kind="firmware", memory="64M", console=output.extend, provider="soft", history=True
    ) as guest:
        guest.board.console.answer(b"Hit any key", b" ")
        guest.board.console.answer(b"=> ", b"version\n")
        guest.run(max_instructions=30_000_000)
        final, printed = digest(guest), len(output)
        assert b"U-Boot 20" in output.split(b"=> version")[1]
        guest.goto(guest.history.begin)
        while guest.history.in_past:
            stop = guest.run(max_instructions=3_000_000)
            if guest.vcpus[0].vcpu.instructions + 3_000_000 > 30_000_000:
                break
        guest.history.goto_end()
        assert (digest(guest), len(output)) == (final, printed), stop


def test_the_past_cannot_be_changed_without_a_branch() -> None:
    output = bytearray()
    with load(QUEUE, 1, output, history=True) as guest:
        guest.run(max_instructions=1_000_000)
        guest.run()
        end = guest.history.end
        guest.goto(1_000_000)
        before = digest(guest)
        for change in (
            lambda: guest.write(guest.symbol("queue").address, b"\0"),
            lambda: guest.cpu.set_reg("x0", 1),
            lambda: guest.cpu.x.__setitem__(3, 1),
            lambda: guest.cpu.v.__setitem__(3, 1),
            lambda: setattr(guest.cpu, "pc", 0),
        ):
            with pytest.raises(InThePast, match="branch"):
                change()
        assert digest(guest) == before
        guest.history.branch()
        assert guest.history.end == guest.history.now.position < end
        guest.cpu.x[20] = 7
        changed = digest(guest)
        guest.run(max_instructions=1000)
        guest.goto(1_000_000)
        assert digest(guest) == changed, "a time at which the user wrote is as it was after that"


def test_what_the_user_writes_is_part_of_the_past() -> None:
    with load(QUEUE, 1, bytearray(), history=True) as guest:
        guest.break_("queue_push")
        seen = []
        for n in range(7):
            guest.run()
            if n % 3 == 1:
                guest.cpu.x[28] = 0x1000 + n
            seen.append((guest.history.now, digest(guest)))
        for time, expected in reversed(seen):
            guest.goto(time)
            assert digest(guest) == expected
        guest.goto(guest.history.begin)
        again = []
        for _ in seen:
            guest.run()
            again.append(guest.history.now)
        assert again == [time for time, _ in seen]
        assert digest(guest) == seen[-1][1], "what was written comes again as the guest runs"


def test_bad_times_and_budgets() -> None:
    with load(QUEUE, 1, bytearray()) as guest:
        for ask in (lambda: guest.goto(5), guest.reverse_step, guest.reverse_run):
            with pytest.raises(NotRecorded, match="history=True"):
                ask()
        guest.run(max_instructions=1000)
        with pytest.raises(BudgetTooSmall, match="one snapshot of this guest takes"):
            guest.history.start("8K")
        with pytest.raises(BudgetTooSmall, match="number of bytes"):
            guest.history.start(-1)
        guest.history.start()
        guest.run(max_instructions=1000)
        for outside in (999, 2001):
            with pytest.raises(OutsideHistory, match="goes from"):
                guest.goto(outside)
        assert guest.vcpus[0].vcpu.instructions == 2000
        guest.goto(guest.history.begin)
        with pytest.raises(OutsideHistory, match="beginning"):
            guest.reverse_step()
        with pytest.raises(OutsideHistory, match="no time"):
            guest.goto("yesterday")
        guest.history.stop()
        assert guest.vcpus[0].vcpu.instructions == 2000
        assert not guest.history.on


def test_the_hosts_clock_does_not_repeat() -> None:
    with pytest.raises(guestdbg.history.HistoryUnavailable, match="virtual"):
        load(QUEUE, 1, bytearray(), clock="host", history=True)


def test_a_small_budget_drops_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    with load(QUEUE, 1, bytearray(), history="200K") as guest:
        guest.break_("queue_push")
        history = guest.history
        for _ in range(40):
            guest.run()
            guest.cpu.x[28] = 1  # such a time cannot be left out
            assert history.memory_size <= 200 << 10
        assert history.begin.instructions > 0
        assert caplog.text.count("history begins at") == 1
        guest.goto(history.begin)
        guest.goto(history.end)


def test_snapshots_are_thinned_out_before_the_beginning_goes() -> None:
    with load(EXAMPLES / "loop-endless.elf", 1, bytearray(), history="1M") as guest:
        guest.run(max_instructions=400_000_000)
        assert guest.history.memory_size <= 1 << 20
        assert guest.history.begin.instructions == 0
        guest.goto(50_000_000)
        assert guest.vcpus[0].vcpu.instructions == 50_000_000


def test_a_closed_provider_is_reported() -> None:
    with pytest.raises((guestdbg.history.HistoryUnavailable, KvmError)):
        guestdbg.load(QUEUE, provider="host", console=None, history=True)


def test_a_reset_is_part_of_the_past_and_a_restore_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with load(QUEUE, 1, bytearray(), history=True) as guest:
        snapshot = guest.snapshot()
        guest.run(max_instructions=300_000)
        before, then = guest.history.now, digest(guest)
        guest.reset()
        guest.run(max_instructions=200_000)
        after, now = guest.history.now, digest(guest)
        guest.goto(before)
        with pytest.raises(InThePast):
            guest.reset()
        guest.goto(after)
        assert digest(guest) == now
        guest.restore(snapshot)
        assert "begins at turn 0, vCPU 0, 0 instructions now: it was restored" in caplog.text
        guest.run(max_instructions=300_000)
        assert digest(guest) == then
        guest.reverse_step()
        guest.step()
        assert digest(guest) == then
