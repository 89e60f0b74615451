"""Threads: the list of them, the selected ones, whether one is alive.

Source: "Debugging with GDB", appendix E.2 (H, T) and E.5 (qC, qfThreadInfo, qThreadExtraInfo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb import thread_id
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.thread_words import describe

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState
    from guestdbg.gdb.task_threads import TaskThread


def _parse(session: SessionState, text: bytes) -> int:
    return thread_id.parse(text, len(session.execution.vcpus))


def _task(session: SessionState, text: bytes) -> TaskThread | None:
    """The task that a thread-id names; None if it names a vCPU. Raises PacketError."""
    number = thread_id.task_number(text)
    return None if number is None else session.tasks.find(number)


def _is_any(text: bytes) -> bool:
    """Whether a thread-id is 0, "any thread"."""
    return text.rpartition(b".")[2] == b"0"


def _show(session: SessionState, index: int) -> bytes:
    return thread_id.format_id(index, multiprocess=session.multiprocess)


def select(session: SessionState, rest: bytes) -> bytes:
    """H OP THREAD: select the thread whose registers and memory are accessed (g), or that c and s
    resume (c)."""
    which, text = rest[:1], rest[1:]
    if which == b"g":
        task = _task(session, text)
        if task is not None:
            session.task = task
            if task.vcpu is not None:
                session.threads.general = task.vcpu
            return b"OK"
        index = _parse(session, text)
        # For "any thread" the selected one stays.
        if index != thread_id.ALL and not _is_any(text):
            session.threads.general = index
            session.task = None
    elif which == b"c":
        index = _parse(session, text)
        # As in gdbserver, "any thread" resumes all.
        session.threads.resumed_by_c = thread_id.ALL if _is_any(text) else index
    else:
        raise PacketError("H is Hg or Hc")
    return b"OK"


def alive(session: SessionState, rest: bytes) -> bytes:
    """T THREAD: whether a thread is alive. A vCPU is alive as long as the guest."""
    if _task(session, rest) is None:
        _parse(session, rest)
    return b"OK"


def selected(session: SessionState, rest: bytes) -> bytes:
    """qC: the selected thread."""
    if session.task is not None:
        number = session.task.number
        return b"QC" + thread_id.format_number(number, multiprocess=session.multiprocess)
    return b"QC" + _show(session, session.threads.general)


def first(session: SessionState, rest: bytes) -> bytes:
    """qfThreadInfo: all threads; they fit in one packet."""
    if session.detached:
        return b"l"
    ids = [_show(session, n) for n in range(len(session.execution.vcpus))]
    ids += [
        thread_id.format_number(one.number, multiprocess=session.multiprocess)
        for one in session.tasks.all()
    ]
    return b"m" + b",".join(ids)


def more(session: SessionState, rest: bytes) -> bytes:
    """qsThreadInfo: the end of the list."""
    return b"l"


def extra(session: SessionState, rest: bytes) -> bytes:
    """qThreadExtraInfo,THREAD: the name and state of a thread, for lists of threads."""
    named = rest.removeprefix(b",")
    task = _task(session, named)
    if task is not None:
        return f"{task.name}, {task.words}".encode().hex().encode()
    index = _parse(session, named)
    if index == thread_id.ALL:
        raise PacketError("qThreadExtraInfo is for one thread")
    text = f"vCPU {session.execution.vcpus[index].vcpu.id}, {describe(session, index)}"
    return text.encode().hex().encode()


def attached(session: SessionState, rest: bytes) -> bytes:
    """qAttached: 1, the guest existed before the client attached: GDB detaches from it when it
    quits, and does not kill it."""
    return b"1"


HANDLERS: dict[bytes, Handler] = {
    b"H": select,
    b"T": alive,
    b"qC": selected,
    b"qfThreadInfo": first,
    b"qsThreadInfo": more,
    b"qThreadExtraInfo": extra,
    b"qAttached": attached,
}
