"""A small pool of worker processes, which knows nothing of guests.

Each worker is a new Python process, never a fork of one that has threads. Functions are named
("module:function"), and get something large that was sent to the worker once, by its digest.

errors   what goes wrong with a worker
channel  what parent and worker say to each other
process  what a worker does
output   the end of what a worker has written
pool     the pool, in the parent
executor the pool as an executor of the standard library
"""

from guestdbg.workers.errors import WorkerDied, WorkerError
from guestdbg.workers.executor import WorkerExecutor
from guestdbg.workers.pool import MOST_WORKERS, WorkerPool

__all__ = ["MOST_WORKERS", "WorkerDied", "WorkerError", "WorkerExecutor", "WorkerPool"]
