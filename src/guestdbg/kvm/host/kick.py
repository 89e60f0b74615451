"""The signal that gets a thread out of KVM_RUN.

A kick sets ``kvm_run.immediate_exit`` first, and then sends this signal to the thread. If the
thread is inside the guest, the signal interrupts it. If it is about to enter, the kernel sees the
flag, which it reads once signals can interrupt it. So no kick is lost, and KVM_SET_SIGNAL_MASK,
which would change the signal mask twice at every run, is not needed.

The signal must have a handler, or it would end the process. Python's ``signal.signal`` can only be
called in the main thread, and its handlers run there; vCPUs run in any thread. So the handler is
installed with the C library's ``sigaction``, which any thread may call. It is a C function without
an effect: ``abs``, called with the signal's number. No Python code runs in it.
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
    """Install a handler that does nothing for the highest real-time signal that has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.cast(libc.abs, ctypes.c_void_p).value
    for number in range(signal.SIGRTMAX, signal.SIGRTMIN - 1, -1):
        old = _sigaction()
        if libc.sigaction(number, None, ctypes.byref(old)) or old.sa_handler not in (None, nothing):
            continue
        # No SA_RESTART: KVM_RUN must return.
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
    """The number of the signal; the first call installs its handler. From any thread.

    Raises:
        KvmError: EBUSY if all real-time signals have handlers.
    """
    global _number
    if not _number:
        with _lock:
            if not _number:
                _number = _install()
    return _number


class Runs(Protocol):
    """``run()`` of a vCPU, which belongs to the thread that called it last."""

    #: The thread that ran it last, by the kernel's number, to which kicks go.
    tid: int

    def thread_ended(self) -> None:
        """That thread has ended; Python may give its number to another one."""


class _Thread:
    """One thread that runs vCPUs. Thread-local, so it is deleted when the thread ends.

    A lock knows its owner by Python's number of the thread, which may be given to another thread
    once this one has ended. So the vCPUs are notified then, and do not use the lock any more.
    """

    def __init__(self) -> None:
        # The program may have blocked all signals in its threads; this one is unblocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {kick_signal()})
        self.tid = threading.get_native_id()
        self.runs: weakref.WeakSet[Runs] = weakref.WeakSet()
        lock = threading.RLock()
        lock.acquire()
        # As threading.Condition uses it: False in every other thread. Faster than get_ident(),
        # whose result is a new integer each time.
        self.is_current: Callable[[], bool] = lock._is_owned  # type: ignore[attr-defined]

    def __del__(self) -> None:
        for vcpu in self.runs:
            vcpu.thread_ended()


def never_current_thread() -> bool:
    """A function like the one that ``attach`` returns, for a thread that is never the caller."""
    return False


def attach(vcpu: Runs) -> Callable[[], bool]:
    """Make the calling thread the one that kicks of ``vcpu`` interrupt.

    Returns a function that returns whether its caller is still this thread. It is valid until
    ``vcpu.thread_ended()`` is called.
    """
    try:
        thread: _Thread = _here.thread
    except AttributeError:
        thread = _here.thread = _Thread()
    thread.runs.add(vcpu)
    vcpu.tid = thread.tid
    return thread.is_current


def _forget_threads() -> None:
    """In the child of a fork: its thread has another id than the thread that forked."""
    global _here
    _here = threading.local()


os.register_at_fork(after_in_child=_forget_threads)


def send(tid: int) -> None:
    """Send the signal to a thread of this process; one that has ended needs none."""
    ctypes.CDLL(None).tgkill(os.getpid(), tid, kick_signal())
