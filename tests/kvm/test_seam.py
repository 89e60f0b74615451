"""The interface itself: what it needs, what it promises, and its small objects."""

import copy
import errno
import pickle
import subprocess
import sys

import pytest

from guestdbg.errors import GuestdbgError
from guestdbg.kvm import (
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    Kvm,
    KvmError,
    SupportsCodeChanged,
    SupportsDebugState,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    Vcpu,
    VcpuInit,
    Vm,
)

SOFT_IS_NOT_NEEDED = """
import sys
import guestdbg.kvm, guestdbg.kvm.regs, guestdbg.kvm.constants, guestdbg.kvm.layouts
loaded = [m for m in sys.modules if m.startswith(("guestdbg.cpu", "guestdbg.kvm.soft"))]
assert not loaded, loaded

class NotCompiled:
    def find_spec(self, name, path, target=None):
        if name.startswith("guestdbg.cpu."):
            raise ImportError("not compiled here")

sys.meta_path.insert(0, NotCompiled())
try:
    guestdbg.kvm.open_kvm("soft")
except guestdbg.kvm.KvmError as error:
    assert error.errno == 19, error
    print(error)
"""


def test_interface_works_without_the_compiled_processor() -> None:
    """The host provider needs no C compiler; the soft one says what it needs."""
    result = subprocess.run(
        [sys.executable, "-c", SOFT_IS_NOT_NEEDED], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "not compiled here" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_error_is_an_oserror_with_call_and_text() -> None:
    error = KvmError(errno.EINVAL, "KVM_SET_GUEST_DEBUG", "control 0x4 is not valid")
    assert isinstance(error, OSError)
    assert isinstance(error, GuestdbgError)
    assert error.errno == 22
    assert str(error) == "KVM_SET_GUEST_DEBUG: control 0x4 is not valid (EINVAL)"
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (copied.errno, copied.call, copied.text) == (22, error.call, error.text)


def test_objects_read_well() -> None:
    assert str(ExitDebug(0xD2000062, 0, 0x40010000)) == (
        "debug: watchpoint, hsr 0xd2000062, far 0x40010000"
    )
    assert str(ExitDebug(0xF2000001)) == "debug: BRK, hsr 0xf2000001"
    assert str(ExitMmio(0x9000000, b"A", 1, True)) == "mmio: write of 0x41, 1 bytes, at 0x9000000"
    assert str(ExitSystemEvent(1, (0,))) == "system event: shutdown"
    assert str(ExitIntr(idle=True)) == "interrupted: idle"


def test_exits_are_values() -> None:
    assert ExitDebug(1, 0, 2) == ExitDebug(1, 0, 2) != ExitDebug(1, 0, 3)
    assert len({ExitIntr(), ExitIntr(), ExitIntr(idle=True)}) == 2
    with pytest.raises(AttributeError):
        ExitIntr().idle = True  # type: ignore[misc]


def test_vcpu_init_features() -> None:
    init = VcpuInit(2).with_feature(0, 2, 33)
    assert init.features == (5, 2, 0, 0, 0, 0, 0)
    assert [init.has(n) for n in (0, 1, 2, 33)] == [True, False, True, True]


def test_soft_provider_has_the_optional_interfaces() -> None:
    from .support import Guest

    guest = Guest()
    assert isinstance(guest.kvm, Kvm)
    assert isinstance(guest.vm, Vm)
    assert isinstance(guest.vcpu, Vcpu)
    assert isinstance(guest.vm, SupportsCodeChanged)
    for protocol in (SupportsDebugState, SupportsInstructionCount, SupportsInstructionLimit):
        assert isinstance(guest.vcpu, protocol)
    assert guest.kvm.provider == "soft"
    assert guest.vcpu.vm is guest.vm
