"""stdin, stdout and stderr: also where they are closed, or cannot be written."""

import contextlib
import errno
import os
import sys

# The wrong direction, so that using a closed stdin or stdout still fails with EBADF. What goes to a
# closed stderr is dropped: nobody can be told that it could not be written.
_STREAMS = ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY))


def keep_open() -> None:
    """Put /dev/null in the place of closed streams.

    Otherwise the next file that is opened gets the number of the closed stream, and output goes
    into that file.
    """
    for fd, flags in _STREAMS:
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def failure_text(error: OSError) -> str:
    """Why a stream cannot be written, in words."""
    return "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def stdout_failure() -> OSError | None:
    """The error with which buffered output of stdout cannot be written; None if it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def discard_stdout() -> None:
    """Drop what is still buffered: Python would report at exit that it cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        fd = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, fd)
        os.close(null)
