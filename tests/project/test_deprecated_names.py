"""Former names of public things work, say what to use instead, and are the same things."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("guestdbg.debugger", "BadWhere", "InvalidLocation"),
        ("guestdbg.machine", "AddressError", "PhysicalAddressError"),
        ("guestdbg.machine.errors", "AddressError", "PhysicalAddressError"),
        ("guestdbg.kvm.regs", "UnknownRegister", "UnknownOneReg"),
        ("guestdbg.arm64.errors", "TooFewRegisters", "RangeNeedsMoreRegisters"),
    ],
)
def test_a_former_name_works_with_a_warning(module: str, old: str, new: str) -> None:
    home = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{old} is now called {new}") as caught:
        found = getattr(home, old)
    assert found is getattr(home, new)
    assert caught[0].filename == __file__, "the warning names the place that uses the old name"
    assert old not in getattr(home, "__all__", ())


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    machine = importlib.import_module("guestdbg.machine")
    with pytest.raises(AttributeError, match=r"'guestdbg\.machine' has no attribute 'Adress'"):
        machine.Adress  # noqa: B018
