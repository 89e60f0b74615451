"""Questions about a long interval, answered by several processes.

The guest repeats the interval from its start on, as without them. Worker processes, which have the
whole recorded run with a few of its checkpoints, begin at the end of the interval, and where both
meet the question is answered. So nobody waits for a worker: not for its start, and not if it dies.
A part that a worker has not finished when the guest comes to it is repeated by the guest.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guestdbg.closing import Closing
from guestdbg.container import RECORDED_RUN, ContainerFile
from guestdbg.debugger import SavedGuest
from guestdbg.errors import GuestdbgError
from guestdbg.history.questions.repeating import (
    ROW,
    CodeQuery,
    repeat_from_here,
)
from guestdbg.history.run_file import SavedRun, run_bytes
from guestdbg.machine import Console
from guestdbg.workers import WorkerPool

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.history.questions.ahead import AheadOf
    from guestdbg.history.questions.intervals import Interval
    from guestdbg.history.questions.repeating import (
        AccessQuery,
        Found,
    )
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["SideBySide", "open_run", "repeat_parts"]

log = logging.getLogger(__name__)

#: An interval has so many instructions at least: below, a worker has hardly started when the guest
#: has repeated all of it.
WORTH = 2_000_000_000
#: The same where workers have the run already.
WORTH_STARTED: Final = 250_000_000
#: The history takes so much memory at most: it is written and read by each worker.
_MEMORY_MAX: Final = 64 << 20
#: Workers that there are at most if the user does not say how many.
_MOST: Final = 8
#: So many tasks for each process: the last one is repeated twice for a part.
_TASKS: Final = 4
#: A task may find so many hits, or its share of all.
_HITS: Final = 1 << 16
_IMAGE_MAX: Final = 64 << 20
_COUNT: Final = re.compile(r"\bcount\b")


class _Task(NamedTuple):
    future: Future[list[Found]]
    first: int


class _Place(NamedTuple):
    """What a checkpoint says of the guest that repeats what came before it."""

    position: Position
    pc: int
    inputs: int


class SideBySide:
    """The workers of one guest's history.

    Attributes:
        workers: how many there are beside the guest's own process; None: one for each further
            processor that this process may use, up to 8.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.workers: int | None = None
        self._pool: WorkerPool | None = None
        #: What the workers have: which run, and how they are sent it.
        self._key: object = None
        self._digest = ""
        self._failed = False
        self._end: weakref.finalize[[], SideBySide] | None = None

    def close(self) -> None:
        """End the workers. Closing twice does nothing."""
        self._pool, self._key = None, None
        if self._end is not None:
            self._end()

    @property
    def _count(self) -> int:
        if self.workers is not None:
            return self.workers
        if hasattr(os, "sched_getaffinity"):
            return min(len(os.sched_getaffinity(0)) - 1, _MOST)
        return min((os.cpu_count() or 1) - 1, _MOST)

    @contextmanager
    def helpers(
        self, travel: Travel, parts: Sequence[Interval], query: AccessQuery | CodeQuery
    ) -> Iterator[AheadOf]:
        """See ``Helpers``; there are none where it does not pay, or cannot be done."""
        groups: list[list[Interval]] = []
        if self._is_worth_it(travel, parts) and self._can_send(query):
            groups = _groups(parts, self._starts(travel))
        if len(groups) < 2 or not self._start(travel):
            yield lambda part: None
            return
        tasks = self._submit(travel, groups, query)
        places = {id(part): at for at, part in enumerate(parts)}
        current: _Task | None = None

        def ahead(part: Interval) -> Found | None:
            nonlocal current
            at = places[id(part)]
            if at in tasks:
                current = tasks[at]
                current.future.cancel()
            if current is None or not current.future.done() or current.future.cancelled():
                return None
            error = current.future.exception()
            if error is not None:
                self._give_up(error)
                current = None
                return None
            found = current.future.result()
            return found[at - current.first] if at - current.first < len(found) else None

        try:
            yield ahead
        except BaseException:
            self.close()  # a worker has no use for its work either
            raise
        for task in tasks.values():
            task.future.cancel()
        # What a worker does at the place where both have met is done soon, and it can be asked
        # again then. If there was enough before, it is not.
        met = current is not None and current.first == max(tasks)
        if self._failed or (not met and any(each.future.running() for each in tasks.values())):
            self.close()

    def _is_worth_it(self, travel: Travel, parts: Sequence[Interval]) -> bool:
        recorder = travel.recorder
        return (
            self._count > 0
            and not self._failed
            and len(parts) > 1
            and self._is_long(travel, parts)
            and recorder.memory_size <= _MEMORY_MAX
            and recorder.checkpoints.room_for((self._count + 1) * recorder.memory_size)
        )

    def _is_long(self, travel: Travel, parts: Sequence[Interval]) -> bool:
        length = _retired(travel, parts[-1]) - _retired(travel, parts[0])
        if length >= WORTH:
            return True
        return length >= WORTH_STARTED and self._has_run(travel)

    def _can_send(self, query: AccessQuery | CodeQuery) -> bool:
        """Whether other processes find the same."""
        guest, origin = self._guest, self._guest.origin
        if (
            origin is None
            or origin.drives
            or origin.own_devices
            or origin.net
            or origin.semihosting
            or any(
                image.moves_with is not None
                or image.debug.path is not None
                or image.supplementary.path is not None
                or len(image.contents) > _IMAGE_MAX
                for image in guest.images
            )
        ):
            return False
        options = {name: value for name, value in query.options.items() if value is not None}
        when = options.pop("when", "")
        if options or not isinstance(when, str) or _COUNT.search(when):
            return False
        if isinstance(query, CodeQuery):
            return not query.names
        return isinstance(query.where, str | int)

    def _key_of(self, travel: Travel) -> object:
        """Two runs with the same key are the same, and so is what is known of the program."""
        recorder = travel.recorder
        return (
            travel,
            self._count,
            recorder.branches,
            recorder.turns.end,
            tuple(map(id, self._guest.images)),
            [(each.position, each.inputs, each.after_write) for each in recorder.checkpoints],
        )

    def _has_run(self, travel: Travel) -> bool:
        return self._pool is not None and self._key == self._key_of(travel)

    def _start(self, travel: Travel) -> bool:
        """Have a pool to which this run was sent, or can be sent."""
        if self._has_run(travel):
            return True
        checkpoints = travel.recorder.checkpoints
        self.close()
        try:
            starts = self._starts(travel)
            sent = [n for n, each in enumerate(checkpoints) if n in starts or each.after_write]
            sent = sorted({0, *sent})
            some = [checkpoints[n] for n in sent[1:]]
            contents = run_bytes(self._guest, travel, some)
            self._pool = WorkerPool(self._count)
            # A guest that nobody closes leaves no workers either.
            self._end = weakref.finalize(self, self._pool.close)
            file = ContainerFile(Path("<history>"), contents, RECORDED_RUN)
            with SavedGuest.of_file(file) as saved:
                shared, descriptor = saved.shared()
                after_write = [each.after_write for each in some]
                data = pickle.dumps((shared, contents, after_write, sent, checkpoints.budget))
                self._digest = saved.digest
                self._pool.share(self._digest, f"{__name__}:open_run", data, descriptor)
        except (GuestdbgError, OSError) as error:
            self._give_up(error)
            return False
        self._key = self._key_of(travel)
        return True

    def _starts(self, travel: Travel) -> set[int]:
        """The places of checkpoints at which tasks begin: the same for all questions."""
        checkpoints = travel.recorder.checkpoints
        begin, end = checkpoints[0].retired, checkpoints[-1].retired
        length = max(1, (end - begin) // (_TASKS * (self._count + 1)))
        starts: set[int] = set()
        until = begin
        for place, checkpoint in enumerate(checkpoints):
            if checkpoint.retired >= until:
                starts.add(place)
                until = checkpoint.retired + length
        return starts

    def _submit(
        self, travel: Travel, groups: Sequence[Sequence[Interval]], query: AccessQuery | CodeQuery
    ) -> dict[int, _Task]:
        """Tasks by the place of their first part: the last one comes first."""
        checkpoints = travel.recorder.checkpoints
        assert self._pool is not None
        limit = max(_HITS, 2 * query.limit // len(groups))
        query = replace(query, limit=min(query.limit, limit) if query.limit else limit)
        tasks: dict[int, _Task] = {}
        first = sum(map(len, groups))
        for group in reversed(groups[1:]):
            first -= len(group)
            here = [checkpoints[part.place] for part in group]
            places = [_Place(each.position, each.pc, each.inputs) for each in here]
            future = self._pool.submit(
                f"{__name__}:repeat_parts", self._digest, group, places, query
            )
            tasks[first] = _Task(future, first)
        return tasks

    def _give_up(self, error: BaseException) -> None:
        """Do without workers from here on."""
        if self._failed:
            return
        self._failed = True
        log.warning("history is searched by one process from here on: %s", error)


def _retired(travel: Travel, part: Interval) -> int:
    return travel.recorder.checkpoints[part.place].retired


def _groups(parts: Sequence[Interval], starts: set[int]) -> list[list[Interval]]:
    """The parts in their order, in groups that begin at these places of checkpoints."""
    groups: list[list[Interval]] = [[]]
    for part in parts:
        if part.place in starts and groups[-1]:
            groups.append([])
        groups[-1].append(part)
    return groups


# ---- in a worker -----------------------------------------------------------------------------


class _Run(Closing):
    """A guest with the history that was sent.

    ``places``: of each of its checkpoints, the place that it has where the question is asked.
    """

    def __init__(self, guest: Guest, places: Sequence[int]) -> None:
        self.guest = guest
        self.travel: Travel = guest.history._there
        self.places = {place: at for at, place in enumerate(places)}

    def close(self) -> None:
        """Close the guest."""
        self.guest.close()


def open_run(data: bytes, descriptor: int) -> _Run:
    """A guest with the history that was sent; it shares the memory of its beginning."""
    # Whoever asks says what is to be said.
    logging.getLogger("guestdbg").setLevel(logging.CRITICAL)
    shared, contents, after_write, places, budget = pickle.loads(data)
    saved = SavedGuest.from_shared(shared, descriptor)
    with SavedRun(contents, saved=saved, after_write=after_write) as run:
        return _Run(run.guest(history=budget, console=Console(None)), places)


def repeat_parts(
    run: _Run,
    parts: Sequence[Interval],
    places: Sequence[_Place],
    query: AccessQuery | CodeQuery,
) -> list[Found]:
    """What is found in each part, up to before the first at which the limit is reached.

    ``places`` are of the checkpoints of the parts. To those that were not sent the guest comes
    anyway; where it is not quite as that says (an exception has been taken there or not), the rest
    is left to who asks.
    """
    guest, travel = run.guest, run.travel
    all_found: list[Found] = []
    left = query.limit
    with travel.silently(), guest.execution.only(None):
        for part, place in zip(parts, places, strict=True):
            sent = run.places.get(part.place)
            if sent is not None:
                travel.put_at_checkpoint(sent)
                if part.start > place.position:
                    travel.run_to(part.start)
            elif (guest.board.position, travel.now.pc, travel.inputs_given) != place:
                break
            found = repeat_from_here(guest, travel, part, replace(query, limit=left))
            left -= len(found.rows) // ROW.size + len(found.arrivals)
            if found.full or left <= 0:
                break
            all_found.append(found)
    return all_found
