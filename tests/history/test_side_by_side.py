"""Questions that worker processes answer together: the same as what one process finds."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import Guest
from guestdbg.history import side_by_side
from guestdbg.history.side_by_side import SideBySide
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"
MOST = 600_000

Ask = Callable[[Guest], Any]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many checkpoints in a short run, for which workers are used."""
    monkeypatch.setattr("guestdbg.history.recorder.MIN_DISTANCE", 20_000)
    monkeypatch.setattr("guestdbg.history.recorder._COST", 1e9)
    monkeypatch.setattr(side_by_side, "WORTH", 1)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whatever a worker can find is found by one; for each question, how many parts that is."""
    counts: list[int] = []
    submit = SideBySide._submit

    def submitted(self: SideBySide, *arguments: Any) -> Any:
        tasks = submit(self, *arguments)
        wait([task.future for task in tasks.values()], timeout=120)
        done = [t.future for t in tasks.values() if not t.future.exception()]
        counts.append(sum(len(future.result()) for future in done))
        return tasks

    monkeypatch.setattr(SideBySide, "_submit", submitted)
    return counts


def loaded(path: Path, vcpus: int = 1, **options: Any) -> Guest:
    defaults = {"provider": "soft", "memory": "8M", "console": None, "history": True}
    guest: Guest = guestdbg.load(path, vcpus=vcpus, **defaults | options)
    guest.history.workers = 0
    return guest


def answer(found: Any) -> tuple[Any, ...]:
    return found.name, found.start, found.end, found.cut, found.columns, bytes(found.data())


def alive(pids: Sequence[int]) -> Iterator[int]:
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        yield pid


def processes(guest: Guest) -> list[int]:
    pool = guest.history._side_by_side._pool
    assert pool is not None
    return [worker._process.pid for worker in pool._workers if worker._process is not None]


QUEUE_QUESTIONS: list[Ask] = [
    lambda guest: guest.history.writes("queue.tail"),
    lambda guest: guest.history.accesses("queue.head", when="old % 3 == 1"),
    lambda guest: guest.history.reads("queue", length=40),
    lambda guest: guest.history.writes("queue.tail", start=123_456, end=487_654),
    lambda guest: guest.history.writes("queue.tail", limit=700),
    lambda guest: guest.history.writes("queue.tail", limit=1),
    lambda guest: guest.history.value("queue.tail"),
    lambda guest: guest.history.value("queue.tail", start=50_000, limit=77),
    lambda guest: guest.history.executions("queue_push"),
    lambda guest: guest.history.executions("queue_push", when="x0 != 0", limit=300),
]


def test_the_same_as_of_one_process(taken: list[int], caplog: pytest.LogCaptureFixture) -> None:
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST // 2)
        guest.write_u32(guest.resolve("queue.tail").address, 3)
        guest.run(max_instructions=MOST // 2)
        here = digest(guest)
        alone = [answer(ask(guest)) for ask in QUEUE_QUESTIONS]
        assert not taken
        for workers in (1, 2, 3):
            taken.clear()
            guest.history.workers = workers
            assert [answer(ask(guest)) for ask in QUEUE_QUESTIONS] == alone
            assert digest(guest) == here
            assert len(taken) == len(QUEUE_QUESTIONS)
            assert sorted(taken)[1] > 2, "all but that for one row"
            assert max(taken) > 20, "nearly all parts"
            pids = processes(guest)
            assert len(pids) == workers
        guest.goto(200_000)
        assert answer(QUEUE_QUESTIONS[0](guest)) == alone[0]
        assert not [r for r in caplog.records if "one process" in r.message]
    assert not list(alive(pids)), "they end with the guest"


def test_several_vcpus(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.history.recorder.MIN_DISTANCE", 4_000)
    asks: list[Ask] = [
        lambda guest: guest.history.accesses("counter"),
        lambda guest: guest.history.value("counter"),
        lambda guest: guest.history.executions("secondary_main"),
    ]
    with loaded(SMP, vcpus=2) as guest:
        for _ in range(40):  # checkpoints also where a turn is not over
            guest.run(max_instructions=4_321)
        alone = [answer(ask(guest)) for ask in asks]
        for workers in (1, 2):
            guest.history.workers = workers
            assert [answer(ask(guest)) for ask in asks] == alone
        assert len(taken) == 2 * len(asks)
        assert min(taken) > 10


def test_without_waiting() -> None:
    """Where this process and the workers meet is another place each time."""
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST)
        alone = [answer(ask(guest)) for ask in QUEUE_QUESTIONS]
        guest.history.workers = 2
        assert [answer(ask(guest)) for ask in QUEUE_QUESTIONS] == alone


def test_the_run_goes_on_and_branches(taken: list[int]) -> None:
    ask = QUEUE_QUESTIONS[0]
    with loaded(QUEUE) as guest:
        guest.history.workers = 1

        def check() -> None:
            found = answer(ask(guest))
            guest.history.workers = 0
            assert found == answer(ask(guest))
            guest.history.workers = 1

        guest.run(max_instructions=MOST // 2)
        check()
        guest.run(max_instructions=MOST // 2)
        check()
        guest.goto(MOST // 3)
        guest.history.branch()
        guest.write_u32(guest.resolve("queue.tail").address, 1)
        guest.run(max_instructions=MOST - MOST // 3)
        check()
        assert len(taken) == 3


def test_a_worker_that_dies(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    ask = QUEUE_QUESTIONS[0]
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST)
        alone = answer(ask(guest))
        guest.history.workers = 1
        submit = SideBySide._submit

        def killed(self: SideBySide, *arguments: Any) -> Any:
            tasks = submit(self, *arguments)
            while not processes(guest):
                pass
            for pid in processes(guest):
                os.kill(pid, signal.SIGKILL)
            wait([task.future for task in tasks.values()], timeout=120)
            return tasks

        monkeypatch.setattr(SideBySide, "_submit", killed)
        with caplog.at_level(logging.WARNING):
            assert answer(ask(guest)) == alone
        messages = [r.getMessage() for r in caplog.records]
        assert len(messages) == 1
        assert "searched by one process from here on" in messages[0]
        assert "SIGKILL" in messages[0]
        assert guest.history._side_by_side._pool is None
        assert answer(ask(guest)) == alone


def test_ctrl_c_ends_the_workers(monkeypatch: pytest.MonkeyPatch, taken: list[int]) -> None:
    pids: list[int] = []
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST)
        guest.history.workers = 1
        here = digest(guest)

        def interrupted(*arguments: Any) -> Any:
            pids.extend(processes(guest))
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("guestdbg.history.questions.accesses.repeat", interrupted)
            with pytest.raises(KeyboardInterrupt):
                QUEUE_QUESTIONS[0](guest)
        assert len(pids) == 1
        gc.collect()
        assert not list(alive(pids))
        assert digest(guest) == here
        assert len(QUEUE_QUESTIONS[0](guest)) > 100
        guest.history.close()


def test_what_other_processes_cannot_answer(taken: list[int], tmp_path: Path) -> None:
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST)
        history = guest.history
        history.workers = 1
        history.writes("queue.tail", when=lambda hit: hit.new > 3)
        history.writes("queue.tail", when="count % 2 == 0")
        history.executions("queue_push", when=lambda hit: True)
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 16))
    for options in ({"semihosting": True}, {"drives": [f"{disk},readonly"]}):
        with loaded(QUEUE, **options) as guest:
            guest.run(max_instructions=MOST)
            guest.history.workers = 1
            assert len(guest.history.writes("queue.tail")) > 100
    assert not taken


def test_short_intervals(monkeypatch: pytest.MonkeyPatch, taken: list[int]) -> None:
    with loaded(QUEUE) as guest:
        guest.run(max_instructions=MOST)
        guest.history.workers = 1
        monkeypatch.setattr(side_by_side, "WORTH", MOST // 2)
        guest.history.writes("queue.tail", start=0, end=MOST // 3)
        assert not taken
        with pytest.raises(ValueError, match="-1 workers: 0 is the least"):
            guest.history.workers = -1
        guest.history.workers = None
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
        guest.history.writes("queue.tail")
        assert not taken, "one processor"
