"""KVM_RUN ends when a signal interrupts it, whatever the interpreter does with EINTR.

The kernel is made to answer EINTR to one ioctl by a seccomp filter, in a process of its own. No KVM
is needed. An interpreter, or a function, that makes the call again would never return.
"""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from guestdbg.kvm.constants import KVM_RUN
from guestdbg.kvm.host import calls

IOCTL = {"x86_64": 16, "aarch64": 29}.get(platform.machine())

pytestmark = pytest.mark.skipif(
    IOCTL is None or sys.platform != "linux", reason="the number of ioctl is not known here"
)

FILTER = f"""
import ctypes, errno, fcntl, os, struct, sys
from guestdbg.kvm.host import calls

def statement(code, k, jt=0, jf=0):
    return struct.pack("<HBBI", code, jt, jf, k)

# ioctl with this request: EINTR. Everything else is allowed.
program = (
    statement(0x20, 0) + statement(0x15, {IOCTL}, 0, 3)
    + statement(0x20, 24) + statement(0x15, {KVM_RUN}, 0, 1)
    + statement(0x06, 0x00050000 | errno.EINTR) + statement(0x06, 0x7FFF0000)
)
code = ctypes.create_string_buffer(program, len(program))
filter_ = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_, 0, 0):
    print("no seccomp:", os.strerror(ctypes.get_errno()))
    sys.exit()

def fcntls(fd, request):
    return lambda: fcntl.ioctl(fd, request)

def again(fd, request):
    def ioctl():
        while True:
            try:
                return fcntl.ioctl(fd, request)
            except InterruptedError:
                continue
    return ioctl

def call(make, fd, request):
    if make(fd, request)() < 0:
        raise calls.failure()

def ending(make):
    try:
        call(make, 0, {KVM_RUN})
    except InterruptedError as error:
        print("interrupted", error.errno == errno.EINTR)

def failing(make):
    try:
        call(make, os.open("/dev/null", os.O_RDONLY), {KVM_RUN} + 1)
    except OSError as error:
        print("failed", error.errno == errno.ENOTTY)
"""


def outcome(code: str, timeout: float = 30) -> str:
    """What a process prints that runs the code under the filter."""
    result = subprocess.run(
        [sys.executable, "-c", FILTER + code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
    )
    if "no seccomp" in result.stdout:
        pytest.skip(f"this system has no seccomp filters: {result.stdout.strip()}")
    return result.stdout.strip()


@pytest.mark.parametrize("function", ["interruptible_ioctl", "direct_ioctl"])
def test_an_interrupted_ioctl_ends(function: str) -> None:
    assert outcome(f"ending(calls.{function})") == "interrupted True"


@pytest.mark.parametrize("function", ["interruptible_ioctl", "direct_ioctl"])
def test_other_errors_keep_their_errno(function: str) -> None:
    assert outcome(f"failing(calls.{function})") == "failed True"


def test_one_that_is_made_again_would_be_found() -> None:
    outcome("")  # where there are no filters, this is skipped
    with pytest.raises(subprocess.TimeoutExpired):
        outcome("ending(again)", timeout=3)


def test_what_is_assumed_of_this_interpreter_holds() -> None:
    """``fcntl.ioctl`` ends where RETRIES says so, and is made again where it does not."""
    outcome("")
    if calls.RETRIES:
        with pytest.raises(subprocess.TimeoutExpired):
            outcome("ending(fcntls)", timeout=3)
    else:
        assert outcome("ending(fcntls)") == "interrupted True"
