"""Who did it last: compared with a run that was watched from the start."""

import random
import threading

import pytest

import guestdbg
from guestdbg.history import HistoryInterrupted
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"


def every_write(path, what, vcpus, most):
    """(turn, vCPU, instructions, pc, old, new) of each write, watched from the start."""
    found = []
    with guestdbg.load(path, vcpus=vcpus, console=None, provider="soft", memory="8M") as guest:

        @guest.watch(what)
        def wrote(hit):
            found.append((guest.board.position, hit.pc, hit.old, hit.new))

        guest.run(max_instructions=most)
    return found


@pytest.mark.parametrize(
    ("path", "what", "vcpus"),
    [(QUEUE, "queue.tail", 1), (QUEUE, "queue.head", 1), (SMP, "counter", 2), (SMP, "counter", 4)],
    ids=lambda value: getattr(value, "stem", value),
)
def test_the_last_write_is_that_of_a_watched_run(path, what, vcpus) -> None:
    most = 3_000_000
    writes = every_write(path, what, vcpus, most)
    assert writes
    options = {"provider": "soft", "memory": "8M", "vcpus": vcpus, "console": None}
    with guestdbg.load(path, history=True, **options) as guest:
        guest.run(max_instructions=most)
        final = digest(guest)
        rnd = random.Random(1)
        ends = [guest.history.end, *(position for position, *_ in rnd.choices(writes, k=8))]
        for end in ends:
            guest.goto(end)
            here = digest(guest)
            hit = guest.history.last_write(what)
            before = [write for write in writes if write[0] < end]
            if not before:
                assert hit is None
            else:
                assert (hit.time.position, hit.pc, hit.old, hit.new) == before[-1]
                assert hit.backtrace()[0].pc == hit.pc
            after = [write for write in writes if write[0] > end]
            hit = guest.history.next_write(what)
            if not after:
                assert hit is None
            else:
                assert (hit.time.position, hit.pc, hit.old, hit.new) == after[0]
            assert digest(guest) == here, "asking does not move the guest"
        guest.history.goto_end()
        assert digest(guest) == final


def test_running_back_and_forth_gives_the_same_stops() -> None:
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.watch("queue.tail", when="new > 2")
        guest.break_("queue_pop")
        forward = []
        for _ in range(30):
            stop = guest.run()
            forward.append((stop.time, stop.pc, [str(hit) for hit in stop.hits]))
        counts = [(p.hits, p.seen) for p in guest.points]
        back = []
        for _ in range(29):
            stop = guest.reverse_run()
            back.append((stop.time, stop.pc, [str(hit) for hit in stop.hits]))
        assert back == forward[-2::-1]
        assert [(p.hits, p.seen) for p in guest.points] == counts
        stop = guest.reverse_run()
        assert stop.reason == "history"
        assert guest.history.now.position == guest.history.begin
        again = []
        for _ in range(30):
            stop = guest.run()
            again.append((stop.time, stop.pc, [str(hit) for hit in stop.hits]))
        assert again == forward


def test_handlers_are_not_called_by_questions() -> None:
    calls = []
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.watch("queue.tail")(calls.append)
        guest.run(max_instructions=2_000_000)
        count = len(calls)
        assert count
        assert guest.history.last_write("queue.tail") is not None
        assert guest.reverse_run().hit is not None
        assert len(calls) == count


def test_the_last_execution_and_read() -> None:
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=2_000_000)
        hit = guest.history.last_execution("queue_push")
        assert hit.pc == guest.symbol("queue_push").address
        guest.goto(hit)
        assert guest.cpu.pc == hit.pc
        read = guest.history.last_read("queue.tail")
        assert read.access == "read"
        assert read.time < hit.time
        assert guest.history.next_execution("queue_pop").time > hit.time
        assert guest.history.next_read("queue.tail").time > hit.time


def test_an_interrupted_question_has_no_answer() -> None:
    """What was counted until then is not all: another hit would be called the last one."""
    with guestdbg.load(QUEUE, console=None, provider="soft", memory="8M", history=True) as guest:
        guest.run(max_instructions=5_000_000)
        there, now = digest(guest), guest.history.now
        expected = guest.history.last_write("queue.tail")
        assert expected is not None
        guest.break_("queue_pop")
        for ask in (
            lambda: guest.history.last_write("queue.tail"),
            lambda: guest.history.next_write("queue.tail"),
            lambda: guest.history.last_execution("_start"),
        ):
            guest.interrupt()
            with pytest.raises(HistoryInterrupted, match="on the way to"):
                ask()
            assert digest(guest) == there
        guest.interrupt()
        assert guest.reverse_run().reason == "interrupt"
        assert (guest.history.now, digest(guest)) == (now, there)
        for delay in (0.001, 0.003, 0.01, 0.03):
            timer = threading.Timer(delay, guest.interrupt)
            timer.start()
            try:
                found = guest.history.last_write("queue.tail")
            except HistoryInterrupted:
                pass
            else:
                assert (found.time, found.new) == (expected.time, expected.new)
            timer.join()
            assert (guest.history.now, digest(guest)) == (now, there)
