"""Fault models as they are written on a command line: ``skip``, ``register-flip:x0,x1``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.campaign import CampaignError
from guestdbg.faults.models import (
    InstructionFlip,
    InstructionValue,
    LoadFlip,
    LoadValue,
    MemoryFlip,
    RegisterFlip,
    RegisterValue,
    Skip,
)

if TYPE_CHECKING:
    from guestdbg.faults.models import (
        FaultModel,
    )

__all__ = ["MODEL_FORMS", "parse_model"]


def _number(text: str) -> int:
    return int(text, 0)


def _registers(text: str) -> str | list[str]:
    return text if text in ("read", "written") else text.split(",")


def _register_value(text: str) -> RegisterValue:
    value, _, registers = text.partition(",")
    return RegisterValue(_number(value), _registers(registers) if registers else "read")


def _memory(text: str) -> MemoryFlip:
    where, _, length = text.partition(",")
    address = int(where, 0) if where[:1].isdigit() else where
    return MemoryFlip(address, _number(length) if length else None)


#: By name: what comes after the colon, whether it can be left out, and what makes the model.
_FORMS: dict[str, tuple[str, bool, Callable[[str], FaultModel]]] = {
    "skip": ("COUNT", True, lambda text: Skip(_number(text or "1"))),
    "register-flip": (
        "read|written|NAME,…",
        True,
        lambda text: RegisterFlip(_registers(text or "read")),
    ),
    "register-value": ("VALUE[,read|written|NAME,…]", False, _register_value),
    "load-flip": ("", True, lambda text: LoadFlip()),
    "load-value": ("VALUE", False, lambda text: LoadValue(_number(text))),
    "instruction-flip": ("", True, lambda text: InstructionFlip()),
    "instruction-value": ("ENCODING", False, lambda text: InstructionValue(_number(text))),
    "memory-flip": ("VARIABLE|ADDRESS[,BYTES]", False, _memory),
}


def _form(name: str) -> str:
    argument, optional, _ = _FORMS[name]
    if not argument:
        return name
    return f"{name}[:{argument}]" if optional else f"{name}:{argument}"


#: All forms, for people.
MODEL_FORMS = tuple(map(_form, _FORMS))


def parse_model(text: str) -> FaultModel:
    """A model by its text. Raises CampaignError, which says what can be written."""
    name, colon, argument = text.partition(":")
    if name not in _FORMS:
        raise CampaignError(f"{text!r} is no fault model; there are {', '.join(MODEL_FORMS)}")
    form, optional, make = _FORMS[name]
    if (argument and not form) or (not argument and (colon or not optional)):
        raise CampaignError(f"{text!r}: write {_form(name)}")
    try:
        return make(argument)
    except ValueError as error:
        raise CampaignError(f"{text!r}: write {_form(name)}") from error
