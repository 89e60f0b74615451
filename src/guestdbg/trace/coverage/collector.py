"""Coverage of a guest: on, off, and the results."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import TYPE_CHECKING, Self

from guestdbg.kvm import KvmError, SupportsCoverage
from guestdbg.trace.coverage.errors import CoverageError, CoverageUnavailable
from guestdbg.trace.coverage.executed import blocks_of, edges_of
from guestdbg.trace.coverage.result import CoverageResult, VcpuCoverage

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.kvm.coverage import CoverageForm
    from guestdbg.trace.coverage.executed import Block

__all__ = ["Coverage"]

#: In ``Execution.on_repeat``.
_NAME = "coverage"
#: The number of a vCPU, and an exception level.
_Key = tuple[int, int]


class Coverage:
    """What a guest executes from ``start()`` to ``stop()``: ``guest.coverage()``.

    It is on when it is made. In a ``with`` statement it is on inside the block. ``start()`` after
    ``stop()`` goes on with what there is already. A guest has one that is on at a time.

    An instruction counts when it retires, so one that raises an exception does not: it counts when
    it is executed again. What a history repeats does not count again; what is executed after
    ``guest.restore()`` or ``guest.history.branch()`` does.

    Args:
        guest: the guest.
        counts: how often everything was executed, not only whether.
        edges: also how often each branch went where; means ``counts``.

    Raises:
        CoverageUnavailable: the provider does not say what its vCPUs execute.
        CoverageError: another coverage of the guest is on.
        GuestBusy: the guest runs.
    """

    def __init__(self, guest: Guest, *, counts: bool = False, edges: bool = False) -> None:
        self._guest = guest
        self._form: CoverageForm = "edges" if edges else "counts" if counts else "first"
        self._on = False
        self._complete = True
        self._blocks: dict[_Key, Counter[Block]] = {}
        self._edges: dict[_Key, Counter[tuple[int, int]]] = {}
        self._vcpus = _supporting(guest)
        self.start()

    @property
    def on(self) -> bool:
        """Whether it is on."""
        return self._on

    def start(self) -> None:
        """Go on. Nothing happens if it is on."""
        execution = self._guest.execution
        execution.check_stopped("coverage is switched on for a stopped guest")
        if self._on:
            return
        if _NAME in execution.on_repeat:
            raise CoverageError(
                "another coverage of this guest is on: stop() it first, or use that one"
            )
        for vcpu in self._vcpus.values():
            vcpu.start_coverage(self._form)
        execution.on_repeat[_NAME] = self._pause
        self._on = True
        self._pause(execution.repeats)

    def stop(self) -> None:
        """Note nothing any more; the results stay. Nothing happens if it is off."""
        if not self._on:
            return
        self._guest.execution.check_stopped("coverage is switched off for a stopped guest")
        try:
            self._blocks, self._edges, self._complete = self._collected()
            for vcpu in self._vcpus.values():
                vcpu.stop_coverage()
        except KvmError as error:
            if error.errno != errno.EBADF:
                raise
            raise CoverageError(
                "the guest was closed before its coverage was stopped, which is lost: stop() it, "
                "or leave its `with` block, before guest.close()"
            ) from error
        finally:
            self._on = False
            self._guest.execution.on_repeat.pop(_NAME, None)

    def reset(self) -> None:
        """Forget what was executed so far."""
        self._guest.execution.check_stopped("coverage is reset for a stopped guest")
        self._blocks, self._edges, self._complete = {}, {}, True
        if self._on:
            for vcpu in self._vcpus.values():
                vcpu.start_coverage(self._form)
            self._pause(self._guest.execution.repeats)

    def result(self) -> CoverageResult:
        """What was executed until now. Raises GuestBusy while the guest runs."""
        if self._on:
            self._guest.execution.check_stopped("coverage is read from a stopped guest")
            blocks, edges, complete = self._collected()
        else:
            blocks, edges, complete = self._blocks, self._edges, self._complete
        vcpus = [
            VcpuCoverage(*key, blocks[key], edges.get(key, Counter()), self._form)
            for key in sorted(blocks)
        ]
        return CoverageResult(self._guest, vcpus, self._form, complete=complete)

    def _repr_html_(self) -> str | None:
        """How notebooks show it: as the result until now; None: as its repr."""
        if self._on and self._guest.execution.running:
            return None
        return self.result()._repr_html_()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was executed until now: see ``CoverageResult.save``."""
        self.result().save(path)

    def _pause(self, paused: bool) -> None:
        """The guest repeats its history, or goes on by itself."""
        for vcpu in self._vcpus.values():
            vcpu.coverage_paused = paused

    def _collected(
        self,
    ) -> tuple[dict[_Key, Counter[Block]], dict[_Key, Counter[tuple[int, int]]], bool]:
        """What was noted before the last ``start``, and since."""
        blocks = {key: Counter(found) for key, found in self._blocks.items()}
        edges = {key: Counter(found) for key, found in self._edges.items()}
        complete = self._complete
        for number, vcpu in self._vcpus.items():
            data = vcpu.coverage()
            complete &= data.complete
            for el, block, count in blocks_of(data.blocks):
                of_vcpu = blocks.setdefault((number, el), Counter())
                of_vcpu[block] = count if self._form == "first" else of_vcpu[block] + count
            for el, edge, count in edges_of(data.edges):
                edges.setdefault((number, el), Counter())[edge] += count
        return blocks, edges, complete

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Coverage {self._form}: {'on' if self._on else 'off'}>"


def _supporting(guest: Guest) -> dict[int, SupportsCoverage]:
    """The vCPUs by their numbers. Raises CoverageUnavailable."""
    found: dict[int, SupportsCoverage] = {}
    for cpu in guest.vcpus:
        vcpu = cpu.vcpu
        if not isinstance(vcpu, SupportsCoverage):
            raise CoverageUnavailable(
                "this provider does not say which instructions its vCPUs execute: coverage needs "
                'the software provider (provider="soft", --provider soft)'
            )
        found[cpu.id] = vcpu
    return found
