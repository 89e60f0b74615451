"""The pool as an executor of the standard library: functions and arguments that pickle takes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, Literal

from guestdbg.workers.errors import WorkerError
from guestdbg.workers.pool import WorkerPool

__all__ = ["WorkerExecutor"]


class WorkerExecutor(Executor):
    """Worker processes as a ``concurrent.futures.Executor``; one that dies is replaced.

    Unlike ``ProcessPoolExecutor`` it goes on when a worker is killed: only the future of what that
    ran raises WorkerDied. Functions are those of modules, not of ``__main__``.

    Args:
        workers: how many; None: as many as the host has processors.
        environment: variables that are different in the workers; directories of its PYTHONPATH come
            before those of the parent.
        output: where what workers write goes, as for ``WorkerPool``.

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
        self._pool = WorkerPool(workers, environment=environment, output=output)

    def __len__(self) -> int:
        """How many workers there are."""
        return len(self._pool)

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """Run a function. Raises RuntimeError after ``shutdown``."""
        # Pickled here: what the worker cannot make of it is an error of this call then.
        data = pickle.dumps((function, args, options))
        try:
            return self._pool.call(f"{__name__}:call", data)
        except WorkerError as error:
            raise RuntimeError(str(error)) from error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, after what was submitted; ``cancel_futures``: at once."""
        if not cancel_futures:
            self._pool.finish(wait=wait)
        else:
            self._pool.close()


def call(data: bytes) -> Any:
    """In a worker: call the function."""
    function, args, options = pickle.loads(data)
    return function(*args, **options)
