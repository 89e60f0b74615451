"""AFL++'s side of the protocol with its target, by hand."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.machine.guests import guest

MAP_SIZE = 1 << 16
CASE_SIZE = 4 + (1 << 20)
#: What AFL++ uses: its requests come from 198, answers go to 199.
CONTROL, STATUS = 198, 199
TARGET = (
    *(sys.executable, "-m", "guestdbg", "fuzz", str(guest("packet"))),
    *("--at", "parse", "--input", "buffer,length"),
)
#: Longer than anything takes here, on a busy machine too.
PATIENCE = 60

_IPC_CREAT, _IPC_RMID = 0o1000, 0


@contextlib.contextmanager
def segment(size: int) -> Iterator[tuple[int, memoryview]]:
    """A System V shared memory segment: its id and its bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    libc.shmdt.argtypes = (ctypes.c_void_p,)
    number = libc.shmget(0, size, _IPC_CREAT | 0o600)
    assert number >= 0, os.strerror(ctypes.get_errno())
    address = libc.shmat(number, None, 0)
    try:
        array = (ctypes.c_char * size).from_address(address)
        yield number, memoryview(array).cast("B")
    finally:
        libc.shmctl(number, _IPC_RMID, None)
        libc.shmdt(address)


class Client:
    """A target that runs, and what AFL++ does with it."""

    def __init__(
        self, counters: memoryview, cases: memoryview | None, process: subprocess.Popen[bytes]
    ) -> None:
        self.counters = counters
        self.cases = cases
        self.process = process
        self.control = -1
        self.status = -1
        self.child = 0
        self.killed = 0

    def word(self) -> int | None:
        """The next word from the target; None: it has ended."""
        ready, _, _ = select.select([self.status], [], [], PATIENCE)
        assert ready, "no answer"
        data = os.read(self.status, 4)
        assert len(data) in (0, 4)
        return int.from_bytes(data, sys.byteorder) if data else None

    def send(self, word: int) -> None:
        os.write(self.control, word.to_bytes(4, sys.byteorder))

    def start(self, data: bytes) -> int:
        """Have an input run; the process that does."""
        self.counters[:] = bytes(len(self.counters))
        self.put(data)
        self.send(self.killed)
        self.killed = 0
        child = self.word()
        assert child is not None
        self.child = child
        return child

    def put(self, data: bytes) -> None:
        if self.cases is not None:
            self.cases[:4] = len(data).to_bytes(4, sys.byteorder)
            self.cases[4 : 4 + len(data)] = data

    def run(self, data: bytes) -> tuple[int, bytes]:
        """Its status and its map."""
        self.start(data)
        status = self.word()
        assert status is not None
        return status, bytes(self.counters)

    def kill(self) -> int | None:
        """Kill the child, as AFL++ does when its time is over; the status."""
        os.kill(self.child, signal.SIGKILL)
        self.killed = 1
        return self.word()


@contextlib.contextmanager
def client(
    *more: str,
    shared_cases: bool = True,
    environment: Mapping[str, str] | None = None,
    target: Sequence[str] = TARGET,
    confirm: bool = True,
) -> Iterator[Client]:
    """A target that has said what it can do. Afterwards none of its processes may be left."""
    with segment(MAP_SIZE) as (map_id, counters), segment(CASE_SIZE) as (case_id, cases):
        variables = os.environ | {"__AFL_SHM_ID": str(map_id)}
        if shared_cases:
            variables["__AFL_SHM_FUZZ_ID"] = str(case_id)
        variables |= environment or {}
        control, control_out = os.pipe()
        status_in, status = os.pipe()

        def descriptors() -> None:
            os.dup2(control, CONTROL)
            os.dup2(status, STATUS)
            for other in (control_out, status_in):
                os.close(other)

        process = subprocess.Popen(
            [*target, *more],
            env=variables,
            stdin=subprocess.PIPE if not shared_cases else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=descriptors,
            close_fds=False,
        )
        os.close(control)
        os.close(status)
        found = Client(counters, cases if shared_cases else None, process)
        found.control, found.status = control_out, status_in
        try:
            if confirm:
                hello = found.word()
                assert hello is not None, process.communicate()[1].decode()
                assert hello & 0x80000001 == 0x80000001
                assert (hello & 0xFFFFFE) >> 1 == MAP_SIZE - 1
                assert bool(hello & 0x01000000) == shared_cases
                if shared_cases:
                    found.send(0x81000001)
            yield found
        finally:
            for descriptor in (found.control, found.status):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            try:
                process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
            if found.child:
                wait_until_ended(found.child)


def wait_until_ended(process: int) -> None:
    """Raises AssertionError if a process is still there after some time."""
    deadline = time.monotonic() + PATIENCE
    while _is_there(process):
        assert time.monotonic() < deadline, f"process {process} is left"
        time.sleep(0.01)


def _is_there(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
