"""The pool as an executor: it goes on when a worker is killed."""

from __future__ import annotations

import math
import os
import signal
from concurrent.futures import as_completed

import pytest

from guestdbg.workers import WorkerDied, WorkerExecutor


def test_functions_run_in_other_processes() -> None:
    with WorkerExecutor(2) as executor:
        assert len(executor) == 2
        pids = {future.result(60) for future in [executor.submit(os.getpid) for _ in range(8)]}
        assert 1 <= len(pids) <= 2
        assert os.getpid() not in pids
        assert list(executor.map(math.factorial, range(6))) == [1, 1, 2, 6, 24, 120]
        assert executor.submit(int, "ff", base=16).result(60) == 255
        with pytest.raises(ValueError, match="invalid literal"):
            executor.submit(int, "x").result(60)
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(os.getpid)


def test_a_killed_worker_fails_its_own_task_only() -> None:
    with WorkerExecutor(1) as executor:
        first = executor.submit(os.getpid).result(60)
        dies = executor.submit(os.kill, first, signal.SIGKILL)
        after = executor.submit(os.getpid)
        with pytest.raises(WorkerDied, match="SIGKILL"):
            dies.result(60)
        assert after.result(60) != first


def test_what_was_submitted_is_done_or_cancelled() -> None:
    executor = WorkerExecutor(1)
    futures = [executor.submit(pow, 3, n) for n in range(20)]
    executor.shutdown(wait=True)
    assert [future.result(0) for future in futures] == [3**n for n in range(20)]
    executor = WorkerExecutor(1)
    futures = [executor.submit(pow, 3, n) for n in range(2000)]
    executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in as_completed(futures, timeout=60))
    assert any(future.cancelled() for future in futures)
    with pytest.raises(ValueError, match="0 workers"):
        WorkerExecutor(0)
