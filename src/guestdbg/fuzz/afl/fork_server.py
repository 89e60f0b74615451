"""The target's two processes: one that runs the inputs and answers AFL++, and its parent.

The child runs one input after the other. When AFL++ kills it, because it waits after a hang, the
parent reports that, and forks another one, which begins with the guest as the parent has it. So an
execution takes two calls of the kernel and no other process.

AFL++ waits for the id of the process as long as it takes, and measures the time from there. The
instruction limit ends each run, so the child answers with the id and the status together, when it
is done; only after a hang comes the id alone.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import gc
import mmap
import os
import select
import signal
import sys
import termios
import traceback
from typing import TYPE_CHECKING, Literal, NoReturn

from guestdbg.fuzz.afl.protocol import CONTROL, STATUS, WORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from guestdbg.fuzz.outcome import Outcome

__all__ = ["OnHang", "serve", "status_of"]

#: What the child does with a hang: wait for AFL++ to notice; report a crash; report nothing.
OnHang = Literal["wait", "crash", "ignore"]

_HANG = 255
#: The status for an exception of guestdbg itself.
_DEFECT = int(signal.SIGABRT)
_PR_SET_PDEATHSIG = 1

#: What the child is doing, in memory that it shares with its parent: what AFL++ still expects.
#: _ANSWERING: the answer is being written, or has been.
_IDLE, _RUNNING, _ANSWERING, _WAITING = 0, 1, 2, 3
#: Of a child that ends while it is _ANSWERING, for AFL++ to make the next input.
_PATIENCE_MS = 1000


def status_of(outcome: Outcome, on_hang: OnHang) -> int:
    """The signal that is reported for an outcome; 0: none; 255: the child is to wait."""
    if outcome.kind == "hang" and on_hang != "crash":
        return _HANG if on_hang == "wait" else 0
    return outcome.signal


def serve(run: Callable[[], Outcome], on_hang: OnHang) -> None:
    """Answer AFL++ until it ends. ``run`` runs the input that AFL++ has put where it puts inputs.

    The first word has been sent, and confirmed if need be.
    """
    gc.collect()
    gc.freeze()  # what there is now stays: the child need not copy it to look at it
    with mmap.mmap(-1, mmap.PAGESIZE) as state, contextlib.suppress(BrokenPipeError):
        ended = False
        while not ended:
            state[0] = _IDLE
            child = os.fork()
            if child == 0:
                _run_inputs(run, on_hang, state)
            ended = _wait(child, state)


def _wait(child: int, state: mmap.mmap) -> bool:
    """Wait until a child ends, and report it; whether AFL++ has ended."""
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return True
    if not os.WIFSIGNALED(status):
        status = _DEFECT
    if state[0] == _RUNNING or (state[0] == _ANSWERING and not _was_answered()):
        os.write(STATUS, WORD.pack(child) + WORD.pack(status))
    elif state[0] == _WAITING:
        os.write(STATUS, WORD.pack(status))
    return False


def _was_answered() -> bool:
    """Whether AFL++ has the answer of a child that has ended just before or after it was written.

    Then the next request comes; or the answer is still in the pipe.
    """
    poll = select.poll()
    poll.register(CONTROL, select.POLLIN)
    if poll.poll(_PATIENCE_MS):
        return True
    left = array.array("i", [0])
    fcntl.ioctl(STATUS, termios.FIONREAD, left)
    return left[0] > 0


def _run_inputs(run: Callable[[], Outcome], on_hang: OnHang, state: mmap.mmap) -> NoReturn:
    """In the child: answer each request, until AFL++ has ended. It does not outlive its parent."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        # Ctrl-C is for AFL++, which ends its targets. A run need not look for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        own = WORD.pack(os.getpid())
        while _request():
            state[0] = _RUNNING
            status = status_of(run(), on_hang)
            if status == _HANG:
                os.write(STATUS, own)
                state[0] = _WAITING
                _wait_for_the_end()
                break
            state[0] = _ANSWERING
            os.write(STATUS, own + WORD.pack(status))
    except BrokenPipeError:
        pass
    except BaseException:
        # It has not answered: the parent does, and AFL++ keeps the input as a crash.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _request() -> bool:
    """Wait for the next request; whether there is one. Whether AFL++ has killed the child before,
    which it says, does not matter to this one."""
    found = os.read(CONTROL, WORD.size)
    while found and len(found) < WORD.size:
        more = os.read(CONTROL, WORD.size - len(found))
        if not more:
            return False
        found += more
    return len(found) == WORD.size


def _wait_for_the_end() -> None:
    """Wait until AFL++ kills this process, or ends."""
    poll = select.poll()
    for descriptor in (CONTROL, STATUS):
        poll.register(descriptor, 0)  # that the other end is closed is always reported
    poll.poll()
