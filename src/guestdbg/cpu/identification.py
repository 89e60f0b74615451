"""The identification registers of a processor model, as `Processor` takes them."""

from __future__ import annotations

from collections.abc import Iterable

from guestdbg.arm64.cpu_models import CpuModel, cpu_model
from guestdbg.arm64.sysregs import SYSREGS

__all__ = ["identification"]


def identification(cpu: CpuModel | str | Iterable[str]) -> dict[int, int]:
    """Encoding -> value, for ``Processor(identification=...)``.

    cpu: a model, or what ``arm64.cpu_models.cpu_model`` takes. Raises what that raises.
    """
    model = cpu if isinstance(cpu, CpuModel) else cpu_model(cpu)
    return {SYSREGS[name].encoding: value for name, value in model.id_registers.items()}
