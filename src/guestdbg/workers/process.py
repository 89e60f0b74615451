"""What a worker does: ``python -m guestdbg.workers.process DESCRIPTOR LIFE``.

``DESCRIPTOR`` is its end of the channel. ``LIFE`` is a pipe that nothing is written to: it closes
when the parent is gone, and the worker ends with it, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from guestdbg.workers.channel import Answer, Channel, Drop, Share
from guestdbg.workers.errors import WorkerError

if TYPE_CHECKING:
    from guestdbg.workers.channel import Job

__all__ = ["main", "named"]


def named(name: str) -> Callable[..., Any]:
    """The function "module:function".

    Raises:
        ValueError: the name has another form, or names no function.
        ImportError: there is no such module.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute.isidentifier():
        raise ValueError(f"{name!r}: a function is named as 'module:function'")
    function = getattr(import_module(module), attribute, None)
    if not callable(function):
        raise ValueError(f"{name!r}: the module has no such function")
    return function  # type: ignore[no-any-return]


def main(channel: Channel) -> None:
    """Do what the parent asks for until it closes the channel."""
    opened: dict[str, Any] = {}
    failed: dict[str, BaseException] = {}
    while True:
        try:
            message = channel.receive()
        except (EOFError, OSError):
            return
        if isinstance(message, Share):
            descriptor = channel.receive_descriptor()
            try:
                opened[message.digest] = named(message.opener)(message.data, descriptor)
            except Exception as error:
                failed[message.digest] = error
        elif isinstance(message, Drop):
            resource = opened.pop(message.digest, None)
            if hasattr(resource, "close"):
                resource.close()
        else:
            channel.send(_answer(message, opened, failed))


def _answer(job: Job, opened: dict[str, Any], failed: dict[str, BaseException]) -> Answer:
    try:
        if job.digest in failed:
            raise failed[job.digest]
        shared = () if job.digest is None else (opened[job.digest],)
        answer = Answer(named(job.function)(*shared, *job.arguments))
        _check_sendable(job.function, answer)
        return answer
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        try:
            # It must also be possible to make it again from what is sent.
            pickle.loads(pickle.dumps(error))
        except Exception:
            return Answer(None, None, text)
        return Answer(None, error, text)


def _check_sendable(function: str, answer: Answer) -> None:
    try:
        pickle.dumps(answer)
    except Exception as error:
        raise WorkerError(
            f"the result of {function} cannot be sent to another process: {error}"
        ) from error


def _end_with(life: int) -> None:
    with contextlib.suppress(OSError):
        os.read(life, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    main(Channel(int(sys.argv[1])))
