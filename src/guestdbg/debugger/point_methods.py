"""The guest's points: making watches, recordings and breakpoints."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.breakpoints.point import Breakpoint
from guestdbg.debugger.errors import DebuggerError, InvalidLocation, Unsupported
from guestdbg.debugger.memory.presence import absence
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind, Privilege
    from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch
    from guestdbg.debugger.breakpoints.point import Kind, Predicate, Watch
    from guestdbg.debugger.breakpoints.recording import Recording
    from guestdbg.debugger.breakpoints.registry import PointRegistry
    from guestdbg.debugger.breakpoints.restriction import TaskRestriction
    from guestdbg.debugger.breakpoints.task_words import TaskWords
    from guestdbg.debugger.memory.address_space import AddressSpace
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.resolver import Code, Data, Where
    from guestdbg.debugger.target import Target
    from guestdbg.machine import Board

__all__ = ["PointMethods"]

#: A process of a Linux guest by its pid or name.
Task = int | str

log = logging.getLogger(__name__)


class PointMethods(ABC):
    """The methods of a Guest that make points."""

    board: Board
    images: list[Image]
    points: PointRegistry
    _info: DebugInfo
    _target: Target

    @property
    @abstractmethod
    def space(self) -> AddressSpace:
        """The virtual memory as the current vCPU sees it."""

    @property
    @abstractmethod
    def linux(self) -> Any:
        """The Linux kernel in the guest."""

    @abstractmethod
    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes of guest virtual memory."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise GuestClosed for a guest that has been closed."""

    def watch(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        *,
        when: Predicate | str | None = None,
        ignore: int = 0,
        before: bool = False,
        name: str | None = None,
        el: Privilege = "any",
        context: int | None = None,
        task: Task | None = None,
        follow: bool = False,
    ) -> Watch:
        """Watch bytes: a variable or member, a symbol, or ``length`` bytes at an address.

        Without a ``length`` the whole variable or symbol is watched; for an address the default is
        8 bytes, or less if its alignment is smaller. Called with a function, the watch takes it as
        its handler, so it serves as a decorator; without a handler, a hit ends ``run()``.

        ``access`` is ``"read"``, ``"write"`` or ``"any"``; ``when`` is a condition on the hit, a
        function or a text; the first ``ignore`` hits are counted without calling the handler;
        ``before`` calls the handler before the access; ``el`` watches one Exception level only
        (``"el0"``, ``"el1"``), ``context`` one value of CONTEXTIDR_EL1; ``task`` is a process of a
        Linux guest, by pid or name, or one of its threads (see docs/linux.md).

        A watch stays where it is when a pointer on its way changes. With ``follow`` it moves: each
        pointer is watched too, which takes a register for each. One that is NULL may be set later.

        Raises OutOfRegisters (with the reason), BadRange, InvalidLocation, UnknownSymbol.
        """
        self._check_open()
        if follow:
            return self._follow(
                where,
                length,
                name=name,
                access=access,
                when=when,
                ignore=ignore,
                before=before,
                el=el,
                context=context,
                task=task,
            )
        data = self._data(where, length, task)
        watch = self.points.watch(
            data,
            access=access,
            when=when,
            ignore=ignore,
            before=before,
            name=name,
            el=el,
            context=context,
            task=self._restriction(task, data.address),
        )
        self._warn_if_absent(watch)
        return watch

    def check_watch(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        when: Predicate | str | None = None,
    ) -> None:
        """Raise what ``watch`` would, for a watch that is to be set later; no warnings are given.

        NullPointer and AddressError may be gone then.
        """
        self._check_open()
        self.points.watch(
            self._info.resolver.data(where, length).sized(),
            access=access,
            when=when,
        ).delete()

    def follows_pointers(self, expression: str) -> bool:
        """Whether it is a variable that is reached through pointers; not for what is none."""
        try:
            self._info.types.pointer_path(expression)
        except DebuggerError:
            return False
        return True

    def _follow(
        self, where: Where, length: int | None, *, name: str | None, **options: Any
    ) -> FollowedWatch:
        if not isinstance(where, str):
            raise InvalidLocation(f"{where!r}: only a variable has pointers that can be followed")
        if length is not None:
            raise InvalidLocation(f"{where!r}: what is followed has the length of its type")
        if options.pop("task") is not None:
            raise Unsupported(f"{where!r}: a watch that follows pointers is for all tasks")
        path = self._info.types.pointer_path(where)
        return self.points.follow(where, path, self.read, name, **options)

    def record(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        *,
        when: Predicate | str | None = None,
        registers: Sequence[int] = (),
        limit: int | None = None,
        name: str | None = None,
        task: Task | None = None,
        tasks: bool | None = None,
    ) -> Recording:
        """Watch 1, 2, 4 or 8 bytes and keep a record of every hit; no handler is called.

        ``registers``: those of x0 to x30 (numbers, at most 16) that go into a record; ``limit``: a
        run ends after so many records; ``tasks``: whether they name the task of a Linux guest
        (None: where that is known). The other arguments are those of ``watch``. Providers with hit
        programs record millions of hits a second, also with a condition of ``guestdbg.cond``.

        Raises what ``watch`` raises; BadRange for other lengths.
        """
        self._check_open()
        data = self._data(where, length, task)
        recording = self.points.record(
            data,
            access=access,
            when=when,
            registers=registers,
            limit=limit,
            name=name,
            task=self._restriction(task, data.address),
            task_words=self._task_words(tasks),
        )
        self._warn_if_absent(recording)
        return recording

    def _task_words(self, tasks: bool | None) -> TaskWords | None:
        """What a record keeps of the task; None where that is not known, or not asked for."""
        words = self._target.task_words
        if tasks is False or (words is None and not tasks):
            return None
        if words is None:
            raise Unsupported(
                "tasks=True: nothing is known of tasks in this guest: it is no Linux guest, or a "
                "firmware has loaded its kernel, and guest.linux has not found it yet"
            )
        try:
            words.check()
        except GuestdbgError:
            if tasks:
                raise
            return None
        return words

    def why_unreachable(self, point: Watch | Breakpoint) -> str | None:
        """Why no access or instruction can reach a point as the guest is now; None if one can.

        The guest may map the address later.
        """
        from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch

        self._check_open()
        if isinstance(point, FollowedWatch) and point.nowhere is not None:
            return point.nowhere
        if isinstance(point, Breakpoint) and not point.placed:
            return "the module that it is in is not loaded"
        addresses = point.addresses if isinstance(point, Breakpoint) else (point.address,)
        if point.task is not None and point.task.pending:
            return "there is no such process now"

        def translate(address: int) -> int:
            own = None if point.task is None else point.task.translate(address)
            return self.space.translate(address) if own is None else own

        reasons = [absence(translate, self.board, address) for address in addresses]
        return reasons[0] if all(reasons) else None

    def _warn_if_absent(self, watch: Watch) -> None:
        if watch.source is not None or any(image.covers(watch.address) for image in self.images):
            return  # the guest's own memory, which it maps in time
        if watch.task is not None and watch.task.pending:
            return  # it is made for a process to come
        reason = self.why_unreachable(watch)
        if reason is not None:
            log.warning(
                "%s is watched at %#x, where nothing can be accessed as the guest is now: %s",
                watch.name,
                watch.address,
                reason,
            )

    def break_(
        self,
        where: Where,
        *,
        when: Predicate | str | None = None,
        ignore: int = 0,
        kind: Kind = "auto",
        name: str | None = None,
        el: Privilege = "any",
        context: int | None = None,
        task: Task | None = None,
    ) -> Breakpoint:
        """Stop before an instruction: a symbol, ``symbol+offset``, address, or ``file:line``.

        ``kind``: ``"hardware"``, ``"software"`` (a BRK put into the guest's memory) or ``"auto"``:
        hardware, and software only if no register is left, which is logged as a warning; the
        breakpoint's ``why_software`` says so. The other arguments are those of ``watch``.

        Raises OutOfRegisters, Unsupported (the guest's code cannot be changed under this provider),
        BadRange, UnknownSymbol, UnknownLine.
        """
        self._check_open()
        code = self._code(where, task)
        return self.points.breakpoint(
            code,
            kind=kind,
            when=when,
            ignore=ignore,
            name=name,
            el=el,
            context=context,
            task=self._restriction(task, code.some_address),
        )

    def _code(self, where: Where, task: Task | None) -> Code:
        """A location in code, which may be in the program of a task."""
        if task is None or not isinstance(where, str):
            return self._info.resolver.code(where)
        found: Code = self.linux.processes.names(task).resolve(
            where,
            lambda: self._info.resolver.code(where),
            lambda info, name: info.resolver.code(name),
        )
        return found

    def _data(self, where: Where, length: int | None, task: Task | None) -> Data:
        """A location in data, likewise."""
        if task is None or not isinstance(where, str):
            return self._info.resolver.data(where, length).sized()
        found: Data = self.linux.processes.names(task).resolve(
            where,
            lambda: self._info.resolver.data(where, length),
            lambda info, name: info.resolver.data(name, length),
        )
        return found.sized()

    def _restriction(self, task: Task | None, address: int) -> TaskRestriction | None:
        """The restriction of a point at ``address`` to a task. Raises what ``guest.linux`` does."""
        if task is None:
            return None
        found: TaskRestriction = self.linux.processes.restriction(task, address)
        return found
