"""The pool of workers: what was shared is sent once; what goes wrong in a worker stays there."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from guestdbg.workers import WorkerDied, WorkerError, WorkerExecutor, WorkerPool

from . import functions

FUNCTIONS = "tests.workers.functions"


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as pool, tempfile.TemporaryFile() as file:
        file.write(b"the memory")
        file.flush()
        for digest, data in (("one", b"1"), ("two", b"2"), ("bad", b"bad")):
            pool.share(digest, f"{FUNCTIONS}:open_it", data, file.fileno())
        yield pool


def test_what_is_shared_is_sent_once(pool: WorkerPool) -> None:
    first = pool.submit(f"{FUNCTIONS}:use", "one", 7).result(60)
    again = pool.submit(f"{FUNCTIONS}:use", "one").result(60)
    other = pool.submit(f"{FUNCTIONS}:use", "two").result(60)
    assert first[1:] == (b"1", b"the memory", 1, (7,))
    assert again == (first[0], b"1", b"the memory", 2, ())
    assert other == (first[0], b"2", b"the memory", 1, ())
    assert first[0] != os.getpid()


def test_errors_are_those_of_the_function(pool: WorkerPool) -> None:
    with pytest.raises(KeyError, match="nothing here") as raised:
        pool.submit(f"{FUNCTIONS}:fail", "one").result(60)
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(WorkerError, match=r"fail_oddly failed in a worker:[^$]*1 and 2"):
        pool.submit(f"{FUNCTIONS}:fail_oddly", "one").result(60)
    with pytest.raises(ValueError, match="cannot be opened"):
        pool.submit(f"{FUNCTIONS}:use", "bad").result(60)
    with pytest.raises(WorkerError, match=r"result of .*:unpicklable cannot be sent"):
        pool.submit(f"{FUNCTIONS}:unpicklable", "one").result(60)
    with pytest.raises(ModuleNotFoundError):
        pool.submit("no.such:function", "one").result(60)
    for name in ("use", f"{FUNCTIONS}:none", f"{FUNCTIONS}:Opened.x"):
        with pytest.raises(ValueError, match="function"):
            pool.submit(name, "one").result(60)
    with pytest.raises(WorkerError, match="nothing was shared with the digest 'three'"):
        pool.submit(f"{FUNCTIONS}:use", "three")


def test_a_worker_that_dies_is_replaced(pool: WorkerPool) -> None:
    pid = pool.submit(f"{FUNCTIONS}:use", "one").result(60)[0]
    with pytest.raises(WorkerDied, match=r"ran .*:die was killed by SIGKILL"):
        pool.submit(f"{FUNCTIONS}:die", "one").result(60)
    with pytest.raises(WorkerDied, match="ended with the status 3"):
        pool.submit(f"{FUNCTIONS}:leave", "one").result(60)
    with pytest.raises(WorkerDied, match=r"took longer than 0.2 s"):
        pool.submit(f"{FUNCTIONS}:sleep", "one", 60, timeout=0.2).result(60)
    after = pool.submit(f"{FUNCTIONS}:use", "one").result(60)
    assert after[0] != pid
    assert after[3] == 1, "it was sent again"


def test_closing_ends_the_workers() -> None:
    with WorkerPool(1) as pool, tempfile.TemporaryFile() as file:
        pool.share("one", f"{FUNCTIONS}:open_it", b"1", file.fileno())
        pid = pool.submit(f"{FUNCTIONS}:use", "one").result(60)[0]
        running = pool.submit(f"{FUNCTIONS}:sleep", "one", 60)
        waiting = pool.submit(f"{FUNCTIONS}:use", "one")
        while not running.running():
            time.sleep(0.01)
        pool.close()
        with pytest.raises(WorkerDied):
            running.result(60)
        assert waiting.cancelled()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            pytest.fail("the worker still runs")
        with pytest.raises(WorkerError, match="closed"):
            pool.submit(f"{FUNCTIONS}:use", "one")
    with pytest.raises(ValueError, match="must be 1 to 256"):
        WorkerPool(0)


def test_saved_guests_go_on_in_workers(tmp_path: Path) -> None:
    """Side by side, each bit-equal to the guest that they were saved from."""
    import guestdbg
    from guestdbg.debugger import SavedGuest
    from guestdbg.machine import Console
    from tests.machine.guests import EXAMPLES

    from .functions import run_on

    pytest.importorskip("guestdbg.cpu.processor", reason="no processor", exc_type=ImportError)
    with guestdbg.load(
        EXAMPLES / "smp.elf", provider="soft", vcpus=2, memory="16M", console=Console(None)
    ) as guest:
        guest.run(max_instructions=7777)
        guest.save(tmp_path / "saved")
    with SavedGuest(tmp_path / "saved") as saved, WorkerPool(2) as pool:
        for most in (1000, 10_000_000):
            expected = run_on(saved, most)
            futures = [saved.submit(pool, f"{FUNCTIONS}:run_on", most) for _ in range(4)]
            assert [future.result(100) for future in futures] == [expected] * 4


def test_workers_with_another_environment(tmp_path: Path) -> None:
    """As those of another build need: its directory comes first, and a library is loaded first."""
    environment = {"PYTHONPATH": str(tmp_path), "GUESTDBG_TEST": "here"}
    (tmp_path / "only_there.py").write_text("def function():\n    return __file__\n")
    with WorkerExecutor(1, environment=environment) as executor:
        assert executor.submit(functions.variable, "GUESTDBG_TEST").result(60) == "here"
    with WorkerPool(1, environment=environment) as pool:
        found = pool.call("only_there:function").result(60)
        assert found == str(tmp_path / "only_there.py")
        begins = pool.call(f"{FUNCTIONS}:path_begins", 2).result(60)
        assert str(tmp_path) in begins
    assert "GUESTDBG_TEST" not in os.environ


@pytest.mark.parametrize("output", ["keep", "tee"])
def test_the_end_of_what_a_worker_wrote(
    output: Literal["keep", "tee"], capsys: pytest.CaptureFixture[str]
) -> None:
    with WorkerExecutor(1, output=output) as executor:
        for shown in ("one", "two"):
            with pytest.raises(WorkerDied, match="was killed by SIGABRT") as raised:
                executor.submit(functions.write_and_die, shown, 200_000).result(60)
            text = raised.value.output
            assert f"x\n{shown}\nFatal Python error: Aborted" in text
            assert "in write_and_die" in text, "the traceback of the worker"
            assert len(text) == 64 << 10
    assert ("Fatal Python error" in capsys.readouterr().err) is (output == "tee")


def test_output_that_is_none_of_them() -> None:
    wrong: Any = "nowhere"
    with pytest.raises(ValueError, match='it must be "inherit", "keep" or "tee"'):
        WorkerPool(1, output=wrong)


def test_the_working_directory_is_no_place_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the parent has it in its path, as an interactive one does."""
    (tmp_path / "random.py").write_text("raise ImportError('a file of the user')\n")
    (tmp_path / "only_there.py").write_text("def function():\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1) as pool:
        assert pool.call("random:getrandbits", 0).result(60) == 0
        with pytest.raises(ModuleNotFoundError):
            pool.call("only_there:function").result(60)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    with WorkerPool(1) as pool:
        assert pool.call("only_there:function").result(60) == 7
