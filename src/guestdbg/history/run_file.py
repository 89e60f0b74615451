"""A run in a file: ``guest.history.save``, and ``guestdbg.load`` of such a file.

Its sections are those of a saved guest (``guestdbg.debugger.guest_file``), for where the run
begins, and these:

    run         ``RunHead``
    turns       up to 2^16 turns: u8 vCPU of each, then u64 how many instructions each had
    inputs      some inputs: a list of (turn, vCPU, instructions, port, data, sampled)
    checkpoint  the guest after the user had changed it: ``_Change``
    changed     u32 of which checkpoint; and pages in which that differs from the one before it

As of a saved guest: a file may have been made by anybody. It cannot make the host execute anything,
and opens only disks whose contents it knows. When its run is repeated, nothing of it reaches the
outside: semihosting calls and the network have the results that they had.
"""

from __future__ import annotations

import logging
import os
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guestdbg.closing import Closing
from guestdbg.container import (
    RECORDED_RUN,
    ContainerFile,
    Section,
    container_bytes,
    page_runs,
    write_container,
)
from guestdbg.container.pages import SECTION_BYTES
from guestdbg.container.values import decode, encode, record_types
from guestdbg.debugger import SavedGuest
from guestdbg.debugger.guest_file import guest_sections, snapshot_parts
from guestdbg.history.checkpoints import Checkpoint
from guestdbg.history.errors import HistoryError
from guestdbg.history.recorded_run import RecordedEnd, RecordedRun, state_digest
from guestdbg.library_errors import raised_as
from guestdbg.machine import Input, NetSpec, Position
from guestdbg.semihosting import Semihosting

if TYPE_CHECKING:
    from guestdbg.container import (
        PageRuns,
    )
    from guestdbg.debugger import Guest, GuestSnapshot
    from guestdbg.history.travel import Travel

__all__ = ["SavedRun", "load_run", "run_bytes", "save_run"]

log = logging.getLogger(__name__)

_TURNS: Final = 1 << 16
_TURN_BYTES: Final = 9
_INPUTS: Final = 1 << 12
_INPUT_BYTES: Final = 1 << 20
#: What a file may have: more would take gigabytes of the host's memory.
_TURNS_MAX: Final = 1 << 26
_INPUTS_MAX: Final = 1 << 21
_INPUT_BYTES_MAX: Final = 512 << 20
_CHANGES_MAX: Final = 1 << 16
_STATE_MAX: Final = 64 << 20
#: Bytes of the host's memory that an input takes beside its data.
_INPUT_OVERHEAD: Final = 400
_NUMBER: Final = struct.Struct("<I")

_Inputs = list[tuple[int, int, int, str, bytes, bool]]


class RunHead(NamedTuple):
    """The run.

    Attributes:
        begin, end: where they are.
        counts: how many instructions each vCPU had retired at the beginning.
        end_pc, end_digest: see ``RecordedEnd``.
        turns, inputs, checkpoints: how many there are.
    """

    begin: Position
    end: Position
    counts: tuple[int, ...]
    end_pc: int
    end_digest: str
    turns: int
    inputs: int
    checkpoints: int


class _Change(NamedTuple):
    """The guest after the user had changed it.

    Attributes:
        position, retired, inputs, pc: those of a ``Checkpoint``.
        machine, devices, debugger: its state: see ``SnapshotParts``.
    """

    position: Position
    retired: int
    inputs: int
    pc: int
    machine: bytes
    devices: bytes
    debugger: bytes


_RECORDS: Final = record_types(Position, RunHead, _Change)


# ---- writing ---------------------------------------------------------------------------------


def save_run(guest: Guest, travel: Travel, path: str | os.PathLike[str]) -> str:
    """Write the whole history of a guest; see ``History.save``. Returns the file's digest."""
    if not travel.live:
        with travel.elsewhere():
            travel.goto(travel.end)
            return save_run(guest, travel, path)
    recorder = travel.recorder
    recorder.note_writes()
    with guest.detached():
        digest = state_digest(guest, guest.execution.snapshot())
    recorder.note_end()
    changes = [each for each in list(recorder.checkpoints)[1:] if each.after_write]
    sections = _run_sections(guest, travel, changes, travel.now.pc, digest)
    return write_container(path, sections, RECORDED_RUN)


def run_bytes(guest: Guest, travel: Travel, checkpoints: Sequence[Checkpoint]) -> bytes:
    """The history with some checkpoints after the first, for other processes of this program.

    The guest is in its past. For ``SavedRun``, which has to know which of the checkpoints are
    after a change by the user. The end of the run is not checked there.
    """
    return container_bytes(_run_sections(guest, travel, checkpoints, 0, ""), RECORDED_RUN)


def _run_sections(
    guest: Guest, travel: Travel, changes: Sequence[Checkpoint], end_pc: int, digest: str
) -> Iterator[Section]:
    """The sections of a run, with some checkpoints after the first; the errors come at once."""
    recorder = travel.recorder
    first = recorder.checkpoints[0]
    inputs = [recorder.inputs[n] for n in range(first.inputs, len(recorder.inputs))]
    _check_size(len(recorder.turns), inputs, len(changes))
    head = RunHead(
        recorder.turns.start,
        recorder.turns.end,
        recorder.turns.counts,
        end_pc,
        digest,
        len(recorder.turns),
        len(inputs),
        len(changes),
    )
    start = guest_sections(guest, first.snapshot, guest.origin, with_images=True)

    def sections() -> Iterator[Section]:
        yield Section("run", encode(head))
        yield from start
        yield from _turn_sections(recorder.turns, recorder.turns.counts)
        yield from _input_sections(inputs)
        before = first.snapshot
        for number, change in enumerate(changes):
            yield from _change_sections(guest, number, change, before, first.inputs)
            before = change.snapshot

    return sections()


def _check_size(turns: int, inputs: Sequence[Input], changes: int) -> None:
    data = sum(len(each.data) for each in inputs)
    if (
        turns > _TURNS_MAX
        or len(inputs) > _INPUTS_MAX
        or data > _INPUT_BYTES_MAX
        or changes > _CHANGES_MAX
    ):
        raise HistoryError(
            f"the history has {turns} turns, {len(inputs)} inputs of {data >> 20} MiB and "
            f"{changes} changes by the user; a file may have {_TURNS_MAX}, {_INPUTS_MAX} of "
            f"{_INPUT_BYTES_MAX >> 20} MiB, and {_CHANGES_MAX}: start the history later"
        )


def _turn_sections(turns: Iterable[tuple[int, int]], counts: Sequence[int]) -> Iterator[Section]:
    had = list(counts)
    vcpus, lengths = array("B"), array("Q")
    for vcpu, end in turns:
        vcpus.append(vcpu)
        lengths.append(end - had[vcpu])
        had[vcpu] = end
        if len(vcpus) == _TURNS:
            yield Section("turns", vcpus.tobytes() + _little(lengths))
            vcpus, lengths = array("B"), array("Q")
    if vcpus:
        yield Section("turns", vcpus.tobytes() + _little(lengths))


def _little(numbers: array[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def _input_sections(inputs: Iterable[Input]) -> Iterator[Section]:
    some: _Inputs = []
    size = 0
    for position, port, data, sampled in inputs:
        some.append((*position, port, data, sampled))
        size += len(data)
        if len(some) == _INPUTS or size >= _INPUT_BYTES:
            yield Section("inputs", encode(some))
            some, size = [], 0
    if some:
        yield Section("inputs", encode(some))


def _change_sections(
    guest: Guest, number: int, change: Checkpoint, before: GuestSnapshot, inputs: int
) -> Iterator[Section]:
    parts = snapshot_parts(guest, change.snapshot, before)
    record = _Change(
        change.position,
        change.retired,
        change.inputs - inputs,
        change.pc,
        parts.machine,
        parts.devices,
        parts.debugger,
    )
    yield Section("checkpoint", encode(record))
    for data in parts.pages():
        yield Section("changed", _NUMBER.pack(number) + data)


# ---- reading ---------------------------------------------------------------------------------


class SavedRun(Closing):
    """A file of ``guest.history.save``.

    Args:
        path: the file; or its contents, as bytes.
        saved: the guest where the run begins, if somebody has read that already.
        after_write: of each checkpoint, whether the user had changed the guest; None: of all.

    Attributes:
        saved: the guest where the run begins.
        head: what is known of the run.

    Raises:
        ContainerError: it cannot be read, is no such file, is truncated or damaged, is of another
            version, or the host has not enough memory.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes,
        *,
        saved: SavedGuest | None = None,
        after_write: Sequence[bool] | None = None,
    ) -> None:
        if isinstance(path, bytes):
            self._file = ContainerFile(Path("<bytes>"), path, form=RECORDED_RUN)
        else:
            self._file = ContainerFile(path, form=RECORDED_RUN)
        self._inputs: list[Input] = []
        self._turns: list[tuple[int, int]] = []
        self._changes: list[_Change] = []
        with raised_as(self._file.error, "the recorded run is damaged"):
            self._parse()
        if after_write is None:
            after_write = [True] * len(self._changes)
        self._after_write = after_write
        self.saved = SavedGuest.of_file(self._file) if saved is None else saved

    def _parse(self) -> None:
        file = self._file
        self.head: RunHead = decode(file.section("run", 1 << 20), _RECORDS, RunHead)
        head = self.head
        sizes = {
            "turns": (head.turns, _TURNS_MAX, head.turns * _TURN_BYTES),
            "inputs": (head.inputs, _INPUTS_MAX, 2 * _INPUT_BYTES_MAX),
            "checkpoint": (head.checkpoints, _CHANGES_MAX, head.checkpoints * _STATE_MAX),
        }
        needed = head.inputs * _INPUT_OVERHEAD + 2 * file.expanded_size("changed")
        for name, (count, most, size) in sizes.items():
            has = file.expanded_size(name)
            needed += has
            if not 0 <= count <= most or has > size:
                raise ValueError(f"it has {count} {name} of {has} bytes")
        self._check_room(needed)
        self._read_turns()
        for data in file.sections("inputs", _INPUT_BYTES_MAX):
            for turn, vcpu, count, port, given, sampled in decode(data, {}, _Inputs):
                position = Position(turn, vcpu, count)
                self._inputs.append(Input(position, port, given, sampled))
            if len(self._inputs) > head.inputs:
                break
        for data in file.sections("checkpoint", _STATE_MAX):
            self._changes.append(decode(data, _RECORDS, _Change))
        found = len(self._turns), len(self._inputs), len(self._changes)
        if found != (head.turns, head.inputs, head.checkpoints):
            raise ValueError(f"it has {found} turns, inputs and checkpoints, and not as it says")
        self._check_order()

    def _check_room(self, needed: int) -> None:
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):  # this host does not say
            return
        if needed > max(free, 64 << 20):
            raise self._file.error(
                f"the run takes {needed >> 20} MiB of the host's memory, which has {free >> 20} "
                "MiB free"
            )

    def _read_turns(self) -> None:
        had = list(self.head.counts)
        for data in self._file.sections("turns", _TURNS * _TURN_BYTES):
            count, odd = divmod(len(data), _TURN_BYTES)
            if odd:
                raise ValueError(f"{len(data)} bytes of turns")
            lengths = struct.unpack_from(f"<{count}Q", data, count)
            for vcpu, length in zip(data[:count], lengths, strict=True):
                had[vcpu] += length
                self._turns.append((vcpu, had[vcpu]))

    def _check_order(self) -> None:
        """Whether inputs and checkpoints follow each other, between begin and end."""
        head = self.head
        last, end = head.begin, head.end
        for input_ in self._inputs:
            if not last <= input_.position <= end:
                raise ValueError(f"an input at {input_.position}, after {last}")
            last = input_.position
        last, given, retired = head.begin, 0, sum(head.counts)
        for change in self._changes:
            position = change.position
            if not (
                last <= position <= end
                and given <= change.inputs <= len(self._inputs)
                and retired <= change.retired
            ):
                raise ValueError(f"a checkpoint at {position}, after {last}")
            last, given, retired = position, change.inputs, change.retired

    def guest(self, *, history: bool | str | int = True, **options: Any) -> Guest:
        """A guest at the beginning of the run, which is its history.

        ``history`` is what the snapshots may take; ``options`` are those of ``SavedGuest.guest``.
        A network and semihosting need not be given to repeat the run: see above.

        Raises:
            ContainerError: as above, and those of ``SavedGuest.guest``.
            HistoryError: the guest cannot have a history in so little memory.
        """
        manifest = self.saved.manifest
        if manifest.net and options.get("net") is None:
            options["net"] = NetSpec(plugged_in=False)
        if manifest.semihosting and options.get("semihosting", False) is False:
            options["semihosting"] = Semihosting()
        guest = self.saved.guest(**options)
        try:
            with raised_as(self._file.error, "the recorded run is damaged"):
                begin: Position = guest.board.position
                if begin != self.head.begin:
                    raise ValueError(f"it begins at {begin}, and not at {self.head.begin}")
                budget = None if history in (True, False) else history
                guest.history.play(self._recorded(guest), budget)
        except BaseException:
            guest.close()
            raise
        return guest

    def _recorded(self, guest: Guest) -> RecordedRun:
        head = self.head
        end = RecordedEnd(head.end, head.end_pc, head.end_digest, self.saved.manifest.guestdbg)
        return RecordedRun(self._turns, self._inputs, list(self._checkpoints(guest)), end)

    def _checkpoints(self, guest: Guest) -> Iterator[Checkpoint]:
        pages = _Changed(self._file)
        before = guest.execution.snapshot()
        for number, change in enumerate(self._changes):
            parts = change.machine, change.devices, change.debugger
            before = self.saved.changed_snapshot(guest, before, parts, pages.of(number))
            if sum(before.instructions) != change.retired:
                raise ValueError(f"a checkpoint at {change.retired} instructions is elsewhere")
            yield Checkpoint(
                change.position,
                change.retired,
                before,
                change.inputs,
                change.pc,
                self._after_write[number],
            )
        pages.check_end()

    def close(self) -> None:
        """Close the memory; guests that were made go on. Closing twice does nothing."""
        self.saved.close()


class _Changed:
    """The sections of changed pages, which are in the order of their checkpoints."""

    def __init__(self, file: ContainerFile) -> None:
        sections = file.sections("changed", _NUMBER.size + SECTION_BYTES)
        self._groups = groupby(sections, key=lambda data: _NUMBER.unpack_from(data)[0])
        self._next = next(self._groups, None)

    def of(self, number: int) -> Iterator[PageRuns]:
        """The pages of a checkpoint; they have to be taken before those of the next one."""
        if self._next is None or self._next[0] != number:
            return
        for data in self._next[1]:
            yield page_runs(data[_NUMBER.size :])
        self._next = next(self._groups, None)

    def check_end(self) -> None:
        """Raises ValueError if there are pages of other checkpoints."""
        if self._next is not None:
            raise ValueError(f"it has pages of checkpoint {self._next[0]}, which there is not")


def load_run(path: str | os.PathLike[str] | bytes, **options: Any) -> Guest:
    """A guest at the beginning of a recorded run; for ``guestdbg.load``, whose arguments it has."""
    with SavedRun(path) as run:
        return run.guest(**options)
