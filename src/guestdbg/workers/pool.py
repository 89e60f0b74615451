"""The pool: workers that run functions, each with a thread of the parent that waits for it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from guestdbg.closing import Closing
from guestdbg.workers.channel import Channel, Drop, Job, Share
from guestdbg.workers.errors import WorkerDied, WorkerError
from guestdbg.workers.output import Output

if TYPE_CHECKING:
    from guestdbg.workers.channel import Answer

__all__ = ["MOST_WORKERS", "WorkerPool"]

#: Of one pool: each has a process, a thread here and several files.
MOST_WORKERS = 256
#: What one worker keeps at most; what was used least recently is closed first.
_KEPT = 4


class _Shared(NamedTuple):
    message: Share
    descriptor: int


class _Task(NamedTuple):
    future: Future[Any]
    job: Job
    shared: _Shared | None
    timeout: float | None


class WorkerPool(Closing):
    """Worker processes, which are started when they are first needed.

    They import what the parent can import, but not its ``__main__``. They end with the pool, and
    when the parent ends in whatever way.

    Args:
        workers: how many; None: as many as the host has processors.
        environment: variables that are different in the workers. What they import is looked for in
            the directories of its PYTHONPATH first, and then where the parent finds it.
        output: where what a worker writes to stdout and stderr goes: "inherit": where the parent's
            goes; "keep": the end of it is in ``WorkerDied.output``; "tee": the same, and all of it
            to the parent's stderr.

    Raises:
        ValueError: fewer than 1 or more than MOST_WORKERS, or another ``output``.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        output: Literal["inherit", "keep", "tee"] = "inherit",
    ) -> None:
        count = (os.cpu_count() or 1) if workers is None else workers
        if not 1 <= count <= MOST_WORKERS:
            raise ValueError(f"{count} workers: it must be 1 to {MOST_WORKERS}")
        if output not in ("inherit", "keep", "tee"):
            raise ValueError(f'output is {output!r}: it must be "inherit", "keep" or "tee"')
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._shared: dict[str, _Shared] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [_Worker(environment or {}, output) for _ in range(count)]
        self._threads = [
            threading.Thread(target=worker.serve, args=(self._tasks,), daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def share(self, digest: str, opener: str, data: bytes, descriptor: int) -> None:
        """Have something for functions, which each worker is sent once, when it first needs it.

        ``opener`` names the function ("module:function") that makes it in the worker, of ``data``
        and a copy of ``descriptor``. Nothing happens if the digest is known.

        Raises:
            WorkerError: the pool is closed.
        """
        with self._lock:
            self._check_open()
            if digest not in self._shared:
                message = Share(digest, opener, data)
                self._shared[digest] = _Shared(message, os.dup(descriptor))

    def submit(
        self, function: str, digest: str, *arguments: Any, timeout: float | None = None
    ) -> Future[Any]:
        """Run ``function`` ("module:function") with what was shared, and ``arguments``.

        Arguments and result must be of types that pickle takes. ``timeout``: seconds after which
        the worker is killed. The future raises what the function raises; ``WorkerDied`` if the
        worker ended or was killed (the pool goes on with a new one); ``WorkerError`` if the
        exception cannot be sent.

        Raises:
            WorkerError: the pool is closed, or nothing was shared with this digest.
        """
        with self._lock:
            self._check_open()
            if digest not in self._shared:
                raise WorkerError(f"nothing was shared with the digest {digest!r}: share() it")
            future: Future[Any] = Future()
            job = Job(function, digest, arguments)
            self._tasks.put(_Task(future, job, self._shared[digest], timeout))
            return future

    def call(self, function: str, *arguments: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function`` with ``arguments`` alone. The rest is as for ``submit``.

        Raises:
            WorkerError: the pool is closed.
        """
        with self._lock:
            self._check_open()
            future: Future[Any] = Future()
            self._tasks.put(_Task(future, Job(function, None, arguments), None, timeout))
            return future

    def _check_open(self) -> None:
        if self._closed:
            raise WorkerError("the pool of workers is closed")

    def finish(self, *, wait: bool = True) -> None:
        """Take nothing more, and end the workers when everything is done; ``wait`` until then."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join()
            self._forget()

    def close(self) -> None:
        """Kill the workers; what is not done is cancelled. Closing twice does nothing."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None and task.future.cancel():
                    # Who waits for it (as_completed) is notified of that, too.
                    task.future.set_running_or_notify_cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            thread.join()
        self._forget()

    def _forget(self) -> None:
        for shared in self._shared.values():
            os.close(shared.descriptor)
        self._shared.clear()


class _Worker:
    """One worker, and what it has been sent. All but ``kill`` belongs to its thread."""

    def __init__(self, environment: Mapping[str, str], output: str) -> None:
        self._environment = environment
        self._output = None if output == "inherit" else Output(tee=output == "tee")
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._life = -1
        self._known: OrderedDict[str, None] = OrderedDict()
        self._killed = False

    def serve(self, tasks: queue.SimpleQueue[_Task | None]) -> None:
        """Do tasks until there is a None."""
        while (task := tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                result = self._do(task)
            except BaseException as error:
                task.future.set_exception(error)
            else:
                task.future.set_result(result)
        self._end()

    def kill(self) -> None:
        """End the process, and start no other."""
        self._killed = True
        process = self._process
        if process is not None:
            process.kill()

    def _do(self, task: _Task) -> Any:
        try:
            channel = self._started()
            if task.shared is not None:
                self._share(channel, task.shared)
            channel.send(task.job)
            if not channel.waits(task.timeout):
                self._end()
                raise self._died(
                    f"{task.job.function} took longer than {task.timeout} s in a worker, which was "
                    "killed"
                )
            answer: Answer = channel.receive()
        except (EOFError, OSError) as error:
            raise self._died(f"a worker that ran {task.job.function} {self._end()}") from error
        if answer.error is not None:
            answer.error.add_note(f"In a worker:\n{answer.traceback}")
            raise answer.error
        if answer.traceback:
            raise WorkerError(f"{task.job.function} failed in a worker:\n{answer.traceback}")
        return answer.result

    def _died(self, why: str) -> WorkerDied:
        error = WorkerDied(why)
        if self._output is not None:
            error.output = self._output.last
        return error

    def _share(self, channel: Channel, shared: _Shared) -> None:
        digest = shared.message.digest
        if digest in self._known:
            self._known.move_to_end(digest)
            return
        while len(self._known) >= _KEPT:
            channel.send(Drop(self._known.popitem(last=False)[0]))
        channel.send(shared.message)
        channel.send_descriptor(shared.descriptor)
        self._known[digest] = None

    def _started(self) -> Channel:
        if self._channel is not None:
            return self._channel
        if self._killed:
            raise EOFError
        local, remote = socket.socketpair()
        life, self._life = os.pipe()
        output = None if self._output is None else self._output.begin()
        try:
            self._process = subprocess.Popen(
                [
                    # -P: a module of the working directory must not be taken for one of Python.
                    *(sys.executable, "-P", "-X", "faulthandler"),
                    *("-m", "guestdbg.workers.process"),
                    *(str(remote.fileno()), str(life)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(remote.fileno(), life),
                env=self._variables(),
                # Ctrl-C at the terminal is for the parent.
                start_new_session=True,
            )
        finally:
            remote.close()
            os.close(life)
            if output is not None:
                os.close(output)
        if self._killed:  # meanwhile
            self._process.kill()
        self._channel = Channel(local.detach())
        return self._channel

    def _variables(self) -> Mapping[str, str]:
        own = self._environment.get("PYTHONPATH")
        places = [own] if own else []
        path = os.pathsep.join([*places, *(each or os.getcwd() for each in sys.path)])
        return os.environ | dict(self._environment) | {"PYTHONPATH": path}

    def _end(self) -> str:
        """End the process; how it had ended, in words."""
        if self._channel is not None:
            self._channel.close()
        if self._life >= 0:
            os.close(self._life)
        process, self._process, self._channel, self._life = self._process, None, None, -1
        self._known.clear()
        if process is None:
            return "was not started: the pool was closed"
        try:
            status = process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if self._output is not None:
            self._output.end()
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with the status {status}"
