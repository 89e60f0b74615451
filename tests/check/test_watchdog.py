"""The watchdog kicks what does not end, and counts only the time that the guest could use."""

import threading
import time
from typing import cast

import pytest

from guestdbg.check import watchdog as module
from guestdbg.check.watchdog import Watchdog
from guestdbg.kvm import Vcpu


class Kicked:
    """Takes the place of a vCPU, and notes a kick."""

    def __init__(self) -> None:
        self.kicked = threading.Event()

    def kick(self) -> None:
        self.kicked.set()

    def as_vcpu(self) -> Vcpu:
        return cast(Vcpu, self)


def busy(vcpu: Kicked) -> None:
    while not vcpu.kicked.is_set():
        pass


def asleep(vcpu: Kicked) -> None:
    assert vcpu.kicked.wait(60)


@pytest.mark.parametrize("guest", [busy, asleep])
def test_a_guest_that_does_not_end_is_kicked(guest: object) -> None:
    watchdog = Watchdog(0.2)
    vcpu = Kicked()
    began = time.monotonic()
    with watchdog.watching(vcpu.as_vcpu()):
        assert callable(guest)
        guest(vcpu)
    assert watchdog.expired
    assert time.monotonic() - began >= 0.19
    with watchdog.watching(vcpu.as_vcpu()):
        assert not watchdog.expired
    watchdog.close()


def test_a_thread_that_gets_no_processor_is_not_kicked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._ThreadTime, "sleeps", lambda _: False)
    monkeypatch.setattr(module._ThreadTime, "processor_time", lambda _: 0.0)
    watchdog = Watchdog(0.1)
    vcpu = Kicked()
    with watchdog.watching(vcpu.as_vcpu()):
        assert not vcpu.kicked.wait(0.5)
    assert not watchdog.expired
    watchdog.close()


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_machine_that_stood_still(monkeypatch: pytest.MonkeyPatch, sleeps: bool) -> None:
    """Both clocks went on for a minute: it counts as one period."""
    monkeypatch.setattr(module._ThreadTime, "sleeps", lambda _: sleeps)
    monkeypatch.setattr(module._ThreadTime, "processor_time", lambda _: 60.0)
    watchdog = Watchdog(10)
    thread = module._ThreadTime()
    watched = module._Watched(Kicked().as_vcpu(), thread, time.monotonic() - 60)
    assert watchdog._of_period(watched) == pytest.approx(0.5)
    watchdog.close()


def test_a_system_without_clocks_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "pthread_getcpuclockid")
    thread = module._ThreadTime()
    assert thread.sleeps()
    assert thread.processor_time() == 0
