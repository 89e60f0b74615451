"""The target of AFL++ with AFL++'s side done by hand: also where that misbehaves."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.fuzz import FuzzError
from guestdbg.fuzz.afl import AflTarget

from .afl_client import MAP_SIZE, PATIENCE, TARGET, client, segment, wait_until_ended
from .packets import CRASHES, MAGIC, PLAIN, packet_guest, packet_target

HANGS = ("--max-instructions", "100")


def expected_maps(*inputs: bytes) -> list[bytes]:
    with packet_guest() as machine, packet_target(machine) as target:
        return [bytes(target(data)[0]) for data in inputs]


def test_inputs_statuses_and_maps() -> None:
    inputs = [b"", MAGIC, PLAIN, CRASHES, PLAIN[:9], b"x" * 5000]
    maps = expected_maps(*inputs)
    with client() as afl:
        children = set()
        for _ in range(3):
            for data, expected in zip(inputs, maps, strict=True):
                status, found = afl.run(data)
                assert found == expected, data
                assert status == 0 if data != CRASHES else os.WIFSIGNALED(status)
                children.add(afl.child)
        assert len(children) == 1, "a crash of the guest ends no process"
    assert afl.process.returncode == 0


def test_inputs_from_a_file() -> None:
    """Without shared memory for them, as older programs of AFL++ do it."""
    maps = expected_maps(PLAIN, MAGIC)
    with tempfile.TemporaryFile() as file, segment(MAP_SIZE) as (map_id, counters):
        control, control_out = os.pipe()
        status_in, status = os.pipe()

        def descriptors() -> None:
            os.dup2(control, 198)
            os.dup2(status, 199)
            os.close(control_out)
            os.close(status_in)

        process = subprocess.Popen(
            TARGET,
            env=os.environ | {"__AFL_SHM_ID": str(map_id)},
            stdin=file,
            preexec_fn=descriptors,
            close_fds=False,
        )
        os.close(control)
        os.close(status)
        assert len(os.read(status_in, 4)) == 4
        for data, expected in [(PLAIN, maps[0]), (MAGIC, maps[1])] * 2:
            counters[:] = bytes(MAP_SIZE)
            file.seek(0)
            file.truncate()
            file.write(data)
            file.flush()
            file.seek(0)
            os.write(control_out, bytes(4))
            assert len(os.read(status_in, 4)) == 4
            assert os.read(status_in, 4) == bytes(4)
            assert counters == expected
        os.close(control_out)
        os.close(status_in)
        assert process.wait() == 0


def test_a_hang_waits_to_be_killed_and_another_child_goes_on() -> None:
    with client(*HANGS) as afl:
        for _ in range(3):
            child = afl.start(PLAIN)
            assert not select.select([afl.status], [], [], 0.2)[0], "a hang is not answered"
            status = afl.kill()
            assert status is not None
            assert os.WTERMSIG(status) == signal.SIGKILL
            for _ in range(2):
                assert afl.run(b"")[0] == 0
            assert afl.child != child


@pytest.mark.parametrize(("choice", "expected"), [("crash", signal.SIGXCPU), ("ignore", 0)])
def test_hangs_that_are_reported_at_once(choice: str, expected: int) -> None:
    with client(*HANGS, "--hang", choice) as afl:
        for _ in range(2):
            assert afl.run(PLAIN)[0] == expected
            assert afl.run(b"")[0] == 0


def test_a_child_that_is_killed_between_inputs() -> None:
    """AFL++ does not do that, but a system that is out of memory. The next input may be reported
    as killed; after it, all is as before."""
    with client() as afl:
        for _ in range(3):
            assert afl.run(PLAIN)[0] == 0
            killed = afl.child
            os.kill(killed, signal.SIGKILL)
            assert afl.run(MAGIC)[0] in (0, signal.SIGKILL)
            for _ in range(3):
                assert afl.run(MAGIC)[0] == 0
            assert afl.child != killed
        afl.killed = 1  # it says so, but has not killed it
        assert afl.run(MAGIC)[0] == 0


def test_an_answer_that_nobody_has_read_when_the_child_ends() -> None:
    """It is not written twice."""
    with client() as afl:
        afl.run(MAGIC)
        afl.send(0)
        assert select.select([afl.status], [], [], PATIENCE)[0]
        time.sleep(0.1)
        os.kill(afl.child, signal.SIGKILL)
        time.sleep(1.5)  # longer than the parent waits for the next request
        assert (afl.word(), afl.word()) == (afl.child, 0)
        assert afl.run(PLAIN)[0] == 0


@pytest.mark.parametrize(
    ("closed", "data"), [("control", PLAIN), ("status", MAGIC), ("status", PLAIN)]
)
def test_nothing_is_left_when_afl_ends(closed: str, data: bytes) -> None:
    """PLAIN hangs: the child does not answer, and waits."""
    with client(*HANGS) as afl:
        afl.run(b"")
        afl.start(data)
        os.close(getattr(afl, closed))
        setattr(afl, closed, os.open(os.devnull, os.O_RDONLY))
        if closed == "status" and data == MAGIC:
            os.write(afl.control, bytes(4))  # the answer to it cannot be written
        afl.process.wait(timeout=PATIENCE)


def test_no_child_is_left_when_the_parent_is_killed() -> None:
    with client(*HANGS) as afl:
        afl.start(PLAIN)
        afl.process.kill()
        afl.process.wait()
        wait_until_ended(afl.child)


def test_a_length_that_is_too_large_and_words_in_pieces() -> None:
    (expected,) = expected_maps(PLAIN.ljust(600, b"\0"))
    with client() as afl:
        assert afl.cases is not None
        assert afl.run(PLAIN.ljust(600, b"\0"))[1] == expected
        afl.counters[:] = bytes(MAP_SIZE)
        afl.cases[:4] = b"\xff\xff\xff\xff"
        for _ in range(4):
            os.write(afl.control, b"\0")
            time.sleep(0.01)
        assert afl.word() == afl.child
        assert afl.word() == 0
        assert afl.counters == expected
        os.write(afl.control, b"\0\0")  # and no more


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AFL_MAP_SIZE": "1000000"}, "has 65536 bytes: 1000000 are needed"),
        ({"AFL_MAP_SIZE": "many"}, "AFL_MAP_SIZE is 'many'"),
        ({"AFL_MAP_SIZE": "8388609"}, "from 64 to 8388608"),
        ({"AFL_MAP_SIZE": "1"}, "from 64 to 8388608"),
        ({"__AFL_SHM_ID": "name"}, "__AFL_SHM_ID is 'name'"),
        ({"__AFL_SHM_ID": "2147483000"}, "there is no such shared memory segment"),
        ({"__AFL_SHM_ID": "99999999999"}, "there is no such shared memory segment"),
        ({"__AFL_SHM_FUZZ_ID": ""}, "__AFL_SHM_FUZZ_ID is ''"),
    ],
)
def test_an_environment_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    with segment(MAP_SIZE) as (number, _):
        monkeypatch.setenv("__AFL_SHM_ID", str(number))
        AflTarget()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(FuzzError, match=message):
            AflTarget()


def test_a_smaller_map() -> None:
    counters = bytearray(1024)
    with packet_guest() as machine, packet_target(machine, counters=counters) as target:
        target(PLAIN)
    with client(environment={"AFL_MAP_SIZE": "1024"}, confirm=False) as afl:
        hello = afl.word()
        assert hello is not None
        assert (hello & 0xFFFFFE) >> 1 == 1023
        afl.send(0x81000001)
        status, found = afl.run(PLAIN)
        assert status == 0
        assert found == bytes(counters) + bytes(MAP_SIZE - 1024)


def test_a_guest_that_does_not_come_to_the_place() -> None:
    with client("--at", "negate if x0 == 12345") as afl:
        afl.send(0)
        assert afl.word() is None
        assert afl.process.stderr is not None
        assert b"did not come to negate" in afl.process.stderr.read()
    assert afl.process.returncode == 1


def test_without_a_fork_server() -> None:
    """AFL_NO_FORKSRV, and afl-showmap: one process for one input, and no descriptors."""
    (expected,) = expected_maps(CRASHES)
    with segment(MAP_SIZE) as (map_id, counters):
        done = subprocess.run(
            TARGET,
            env=os.environ | {"__AFL_SHM_ID": str(map_id)},
            input=CRASHES,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode in (-signal.SIGBUS, -signal.SIGSEGV)
        assert counters == expected


def test_a_defect_of_guestdbg_is_a_crash() -> None:
    """So the input that led to it is kept."""
    program = (
        "import sys, guestdbg.fuzz.input_place as place\n"
        "put = place.InputPlace.put\n"
        "def fail(self, data):\n"
        "    if data == b'defect': raise RuntimeError('a defect')\n"
        "    put(self, data)\n"
        "place.InputPlace.put = fail\n"
        "from guestdbg.cli import main\n"
        "main()\n"
    )
    with client(target=(sys.executable, "-c", program, *TARGET[3:])) as afl:
        assert afl.run(MAGIC)[0] == 0
        assert afl.run(b"defect")[0] == signal.SIGABRT
        assert afl.run(MAGIC)[0] == 0
