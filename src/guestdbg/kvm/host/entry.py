"""``run()``: KVM_RUN, with as little work around it as possible.

After an exit the processor's caches are cold (and QEMU, if it emulates the hardware, has no
translated code), so the time depends on how many different places of code and memory are used.
Therefore ``run()`` is a closure, whose variables are next to each other in memory, and not a
method, which would look each of them up through the object and its type. An exit that equals the
last one is found by one comparison of the page, in C. No integer is created that needs an
allocation.
docs/performance.md says how much each of these saves.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import KVM_EXIT_MMIO, KVM_RUN
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import ExitDebug, ExitMmio
from guestdbg.kvm.host import kick
from guestdbg.kvm.host.calls import failure, interruptible_ioctl, refused
from guestdbg.kvm.host.explain import cannot_run
from guestdbg.kvm.host.run_page import EXIT_REASON, INTR, MMIO_DATA, STOP

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.host.immediate_exit import ImmediateExit
    from guestdbg.kvm.host.run_page import RunPage

# Empty, so it does not equal any part of the page.
_NONE_YET: Final = memoryview(b"")


class Entry:
    """``run()`` of one vCPU, and what its last exit was.

    Attributes:
        run: ``Vcpu.run``.
        running: whether a thread is inside it.
        close: make it refuse every call from now on, and release the page.
        tid: the thread that ran it last, by the kernel's number; see ``guestdbg.kvm.host.kick``.
    """

    __slots__ = ("__weakref__", "_answerable", "_forget", "_page", "close", "run", "running", "tid")

    run: Callable[[], Exit]
    running: Callable[[], bool]
    close: Callable[[], None]

    def __init__(
        self, fd: int, page: RunPage, immediate_exit: ImmediateExit, refuse: Callable[[str], None]
    ) -> None:
        """``refuse`` raises the error of a call that comes while ``run()`` is running."""
        self._page = page
        self._answerable = False
        self.tid = 0
        entry = self
        enter = interruptible_ioctl(fd, KVM_RUN)
        running = False
        is_mine = kick.never_current_thread
        # The last stop, and what the page held then.
        seen = page.longs[STOP]
        last = _NONE_YET
        stop: Exit = INTR

        def run() -> Exit:
            nonlocal running, is_mine
            if running:
                refuse("KVM_RUN")
            if not is_mine():
                is_mine = kick.attach(entry)
            running = True
            try:
                if enter() < 0:
                    raise failure()
            except InterruptedError:
                # ``immediate_exit`` was set, or this thread got a signal: a kick's, or another.
                # ``running`` is still set, so kicks until the flag is cleared belong to this exit.
                entry._answerable = False
                immediate_exit.interrupted()
                return INTR
            except (OSError, ValueError) as error:
                raise refused("KVM_RUN", error, cannot_run) from error
            finally:
                running = False
            if seen == last:
                return stop
            return another()

        def another() -> Exit:
            """An exit that does not equal the last stop. An exit with an address is not kept."""
            nonlocal last, stop
            exit_ = page.exit()
            entry._answerable = exit_.__class__ is ExitMmio and not exit_.is_write
            if exit_.__class__ is ExitDebug and exit_.far is None:
                last, stop = memoryview(bytes(seen)).cast("Q"), exit_
            return exit_

        def forget() -> None:
            nonlocal is_mine
            is_mine = kick.never_current_thread

        def close() -> None:
            nonlocal enter
            enter = interruptible_ioctl(-1, KVM_RUN)
            seen.release()

        self.run = run
        self.running = lambda: running
        self.close = close
        self._forget = forget

    def thread_ended(self) -> None:
        """The thread that ran it last has ended."""
        self._forget()

    def complete_mmio(self, data: bytes) -> None:
        """Answer the read of the last exit: see ``Vcpu.complete_mmio``."""
        page, name = self._page, "complete_mmio"
        if not self._answerable or page.words[EXIT_REASON] != KVM_EXIT_MMIO:
            raise KvmError(errno.EINVAL, name, "there is no MMIO read to answer")
        length = page.mmio_length
        if len(data) != length:
            raise KvmError(errno.EINVAL, name, f"{len(data)} bytes answer a read of {length}")
        page.bytes[MMIO_DATA : MMIO_DATA + length] = data
