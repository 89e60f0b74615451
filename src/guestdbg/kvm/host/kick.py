"""The signal that gets a thread out of KVM_RUN.

A kick sets ``kvm_run.immediate_exit`` first and then sends this signal to the thread. If the thread
is inside the guest, the signal brings it out; if it is on its way in, the kernel sees the flag,
which it reads after it has become able to be interrupted. So no kick is lost, and none needs
KVM_SET_SIGNAL_MASK, which would cost two changes of the signal mask at every run.

The signal must have a handler, or it would end the process. Python's ``signal.signal`` can only be
called by the main thread, its handlers run in the main thread, and vCPUs run in any. So the handler
is installed with the C library's ``sigaction``, which any thread may call, and it is a C function
that does nothing that matters: ``abs``, called with the signal's number. No Python runs in it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from guestdbg.kvm.errors import KvmError

_SIGSET_BYTES: Final = 128  # sigset_t of glibc and musl


class _sigaction(ctypes.Structure):
    """``struct sigaction`` of glibc and musl on 64-bit machines."""

    _fields_ = (
        ("sa_handler", ctypes.c_void_p),
        ("sa_mask", ctypes.c_uint8 * _SIGSET_BYTES),
        ("sa_flags", ctypes.c_int),
        ("sa_restorer", ctypes.c_void_p),
    )


_lock = threading.Lock()
_here = threading.local()
_number = 0


def _install() -> int:
    """Give the highest real-time signal that nobody uses a handler that does nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.cast(libc.abs, ctypes.c_void_p).value
    for number in range(signal.SIGRTMAX, signal.SIGRTMIN - 1, -1):
        old = _sigaction()
        if libc.sigaction(number, None, ctypes.byref(old)) or old.sa_handler not in (None, nothing):
            continue
        # No SA_RESTART: the thread is to come back.
        new = _sigaction(sa_handler=nothing)
        if libc.sigaction(number, ctypes.byref(new), None):
            error = ctypes.get_errno()
            raise KvmError(error, "kick", f"sigaction of signal {number} failed")
        return number
    raise KvmError(
        errno.EBUSY,
        "kick",
        f"every real-time signal ({signal.SIGRTMIN} to {signal.SIGRTMAX}) has a handler in this "
        "process; kicks need one",
    )


def kick_signal() -> int:
    """The number of the signal; it is installed at the first call. From any thread.

    Raises:
        KvmError: EBUSY where all real-time signals are in use.
    """
    global _number
    if not _number:
        with _lock:
            if not _number:
                _number = _install()
    return _number


class Runs(Protocol):
    """A vCPU's way into the guest, as far as its thread goes."""

    #: The thread that ran it last, by the kernel's number, to which kicks go.
    tid: int

    def thread_ended(self) -> None:
        """That thread is no more; another one may get Python's number of it."""


class _Thread:
    """What is known of one thread; it goes when that does.

    A lock knows its owner by Python's number of the thread, which is given to another one when the
    thread has ended. So the vCPUs are told then, and ask the lock no more.
    """

    def __init__(self) -> None:
        # A program may have blocked all signals in its threads; ours is let through.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {kick_signal()})
        self.tid = threading.get_native_id()
        self.runs: weakref.WeakSet[Runs] = weakref.WeakSet()
        lock = threading.RLock()
        lock.acquire()
        # What Condition asks a lock of its own for. Quicker than get_ident(), whose number takes
        # memory each time; False in every other thread.
        self.is_current: Callable[[], bool] = lock._is_owned  # type: ignore[attr-defined]

    def __del__(self) -> None:
        for vcpu in self.runs:
            vcpu.thread_ended()


def never_current_thread() -> bool:
    """What ``attach`` would return for a thread that is not the calling one."""
    return False


def attach(vcpu: Runs) -> Callable[[], bool]:
    """Have the calling thread be the one that ``vcpu`` is kicked out of.

    Returns a function that tells whether the thread that calls it is still this one. It holds
    until ``vcpu.thread_ended()`` is called.
    """
    try:
        thread: _Thread = _here.thread
    except AttributeError:
        thread = _here.thread = _Thread()
    thread.runs.add(vcpu)
    vcpu.tid = thread.tid
    return thread.is_current


def _forget_threads() -> None:
    """In the child of a fork: its one thread has another id than the one it was made from."""
    global _here
    _here = threading.local()


os.register_at_fork(after_in_child=_forget_threads)


def send(tid: int) -> None:
    """Send the signal to a thread of this process; one that has ended needs none."""
    ctypes.CDLL(None).tgkill(os.getpid(), tid, kick_signal())
