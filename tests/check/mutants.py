"""Mutants: KVMs that are wrong on purpose. Each is the software KVM with one broken promise.

A mutant overrides what it breaks and passes everything else on. ``failing()`` returns the cases of
a selection that fail on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from guestdbg.check import run_cases, select
from guestdbg.kvm import Exit, ExitDebug, GuestDebug, Kvm, Vcpu, Vm, open_kvm


class Wrapped:
    """Passes every attribute on to another object."""

    def __init__(self, inner: Any) -> None:
        object.__setattr__(self, "inner", inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "inner"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).__annotations__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.inner, name, value)


class MutantVcpu(Wrapped):
    """What a mutant may override. ``debugged`` is the last control word that was accepted."""

    inner: Vcpu
    debugged: int

    def __init__(self, inner: Vcpu) -> None:
        super().__init__(inner)
        self.debugged = 0

    def run(self) -> Exit:
        exit_ = self.inner.run()
        return self.debug_exit(exit_) if isinstance(exit_, ExitDebug) else exit_

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        """Changes a KVM_EXIT_DEBUG."""
        return exit_

    def set_guest_debug(self, debug: GuestDebug) -> None:
        self.inner.set_guest_debug(self.asked(debug))
        self.debugged = debug.control

    def asked(self, debug: GuestDebug) -> GuestDebug:
        """Changes the argument of KVM_SET_GUEST_DEBUG."""
        return debug


class StuckAtZero:
    """A processor on which bits of MDSCR_EL1 are always 0, although they read as written.

    Accesses to the debug registers are always trapped, so that the guest's own writes come here
    too. ``when`` says for which of the guest's vCPUs: on others the bits work.
    """

    def __init__(
        self, vcpu: Any, bits: int, when: Callable[[Any], bool] = lambda vcpu: True
    ) -> None:
        processor = vcpu.cpu
        self.__dict__.update(vcpu=vcpu, bits=bits, when=when, processor=processor)
        self.__dict__["mdscr"] = processor.mdscr_el1

    def __getattr__(self, name: str) -> Any:
        return self.mdscr if name == "mdscr_el1" else getattr(self.processor, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "mdscr_el1":
            self.__dict__["mdscr"] = value
            if self.when(self.vcpu):
                value &= ~self.bits
        elif name == "mdcr_el2":
            value |= 1 << 9  # TDA
        setattr(self.processor, name, value)


class _MutantVm(Wrapped):
    inner: Vm
    vcpu: type[MutantVcpu]

    def __init__(self, inner: Vm, vcpu: type[MutantVcpu]) -> None:
        super().__init__(inner)
        self.vcpu = vcpu

    def create_vcpu(self, number: int = 0) -> MutantVcpu:
        return self.vcpu(self.inner.create_vcpu(number))


class MutantKvm(Wrapped):
    """The software KVM with other vCPUs, or other capabilities.

    ``shape``: the processor's options of ``open_kvm``.
    """

    inner: Kvm
    vcpu: type[MutantVcpu]
    caps: dict[int, int]

    def __init__(
        self,
        vcpu: type[MutantVcpu] = MutantVcpu,
        caps: dict[int, int] | None = None,
        **shape: int,
    ) -> None:
        super().__init__(open_kvm("soft", **shape))
        self.vcpu = vcpu
        self.caps = caps or {}

    def check_extension(self, cap: int) -> int:
        return self.caps.get(cap, self.inner.check_extension(cap))

    def create_vm(self, vm_type: int = 0) -> _MutantVm:
        return _MutantVm(self.inner.create_vm(vm_type), self.vcpu)


def failing(mutant: MutantKvm, *patterns: str) -> set[str]:
    """The names of the cases that fail on this mutant."""
    results = run_cases(select(patterns), mutant, seconds=1.0)  # type: ignore[arg-type]
    return {r.case.name for r in results if r.verdict == "fail"}


def with_hsr(exit_: ExitDebug, ec: int, clear: int = 0, put: int = 0) -> ExitDebug:
    """The exit with bits of its syndrome changed, if it has this exception class."""
    return replace(exit_, hsr=exit_.hsr & ~clear | put) if exit_.ec == ec else exit_


def with_controls(debug: GuestDebug, kind: str, clear: int = 0, put: int = 0) -> GuestDebug:
    """The control registers of one kind ("bcr" or "wcr") with bits of enabled ones changed."""
    name = f"dbg_{kind}"
    values = tuple(v & ~clear | put if v & 1 else v for v in getattr(debug, name))
    return replace(debug, **{name: values})  # type: ignore[arg-type]
