"""Executors on which the cases run: local processes, a Dask cluster, this process, any other."""

from __future__ import annotations

import concurrent.futures
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from guestdbg.campaign.errors import CampaignError
from guestdbg.closing import Closing
from guestdbg.workers import WorkerDied, WorkerExecutor

__all__ = ["AnyExecutor", "Crew", "crew_of"]

#: An ``Executor``, or a ``distributed.Client``.
AnyExecutor = Any
#: Seconds after which a scheduler that does not answer is given up.
_PATIENCE = 30.0


class Crew(Closing):
    """The workers of a campaign, over an executor that stays open.

    Args:
        executor: the executor.
        width: how many tasks it runs at a time; None: it is not known.
    """

    #: What a future raises if the worker died that ran it, and the executor goes on.
    died: tuple[type[BaseException], ...] = ()
    #: Whether ``resubmit`` reaches the worker that it is meant for.
    pins = False

    def __init__(self, executor: Executor, width: int | None = None) -> None:
        self._executor = executor
        self._width = width

    @property
    def width(self) -> int:
        """How many tasks run at a time."""
        known = self._width or getattr(self._executor, "_max_workers", None)
        return known if isinstance(known, int) and known > 0 else os.cpu_count() or 1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function of a module in a worker."""
        return self._executor.submit(function, *arguments)

    def resubmit(
        self, worker: str, files: Mapping[str, bytes], function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        """The same, with files that this worker has missed, as the last argument."""
        return self._executor.submit(function, *arguments, dict(files))

    def lost(self) -> str | None:
        """Why nothing that was submitted will ever be done; None: it will."""
        return None

    def close(self) -> None:
        """End what was started for this campaign alone."""


class _ProcessCrew(Crew):
    """Processes of this machine, which are replaced when they die."""

    died = (WorkerDied,)


class _OwnCrew(_ProcessCrew):
    """An executor that was made for this campaign."""

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class _ThisProcess(Executor):
    """Runs everything when it is submitted."""

    _max_workers = 1

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


class _DaskCrew(Crew):
    """A cluster of ``dask.distributed``. It runs a task again elsewhere if its worker dies."""

    pins = True

    def __init__(self, client: Any) -> None:
        distributed = sys.modules["distributed"]
        # The results of tasks with the same arguments must not be taken for the same.
        super().__init__(client.get_executor(pure=False))
        self._client = client
        self._refreshed = float("-inf")
        self._threads = 1
        self._silent_since: float | None = None
        self.died = (distributed.scheduler.KilledWorker,)

    @property
    def width(self) -> int:
        if time.monotonic() - self._refreshed > 2.0:
            self._refreshed = time.monotonic()
            # Without a scheduler there is nothing in it.
            workers = self._client.scheduler_info(n_workers=-1).get("workers", {}).values()
            self._threads = sum(each["nthreads"] for each in workers) or self._threads
        return self._threads

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return super().submit(_at_dask, function, *arguments)

    def resubmit(
        self, worker: str, files: Mapping[str, bytes], function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        # Scattered: what is part of a task goes through the scheduler, which keeps it.
        (sent,) = self._client.scatter([dict(files)], workers=[worker], hash=False)
        executor = self._client.get_executor(pure=False, workers=[worker])
        future: Future[Any] = executor.submit(_at_dask, function, *arguments, sent)
        # Dask forgets what was scattered when nobody has it here any more.
        future.add_done_callback(lambda _, sent=sent: None)  # type: ignore[misc]
        return future

    def lost(self) -> str | None:
        status = self._client.status
        if status == "running":
            self._silent_since = None
            return None
        if status == "closed":
            return "the client of the Dask cluster is closed"
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > _PATIENCE:
            return f"the scheduler of the Dask cluster has not answered for {_PATIENCE:.0f} s"
        return None


def _at_dask(function: Callable[..., Any], *arguments: Any) -> Any:
    """In a worker of Dask: a worker that misses something is known there by its address."""
    from guestdbg.campaign.worker import Missing

    result = function(*arguments)
    if isinstance(result, Missing):
        import distributed

        return result._replace(worker=distributed.get_worker().address)
    return result


def crew_of(executor: AnyExecutor | None, workers: int | None) -> Crew:
    """The workers on an executor; None: as many local processes, or as the host has processors.

    ``workers=0`` runs everything in this process.

    Raises:
        CampaignError: it is no executor, or both are given.
    """
    if executor is None:
        if workers == 0:
            return _OwnCrew(_ThisProcess())
        try:
            own = WorkerExecutor(workers, output="tee")
        except ValueError as error:
            raise CampaignError(f"{error}; 0 runs the cases in this process") from error
        return _OwnCrew(own, len(own))
    if workers is not None:
        raise CampaignError("workers= is for local processes; an executor has its own")
    kind = type(executor)
    if kind.__module__.partition(".")[0] == "distributed":
        # Client.get_executor() gives what has the client.
        return _DaskCrew(getattr(executor, "_client", executor))
    if isinstance(executor, WorkerExecutor):
        return _ProcessCrew(executor, len(executor))
    if isinstance(executor, concurrent.futures.Executor):
        return Crew(executor)
    raise CampaignError(
        f"{executor!r:.80} is no executor: give a concurrent.futures.Executor, or a "
        "distributed.Client"
    )
