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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Op", "Op"),
        ("HitProgram", "HitProgram"),
        ("Step", "Operation"),
        ("MAX_STEPS", "MAX_OPERATIONS"),
    ],
)
def test_a_module_that_was_renamed_works_with_a_warning(old: str, new: str) -> None:
    former = importlib.import_module("guestdbg.kvm.programs")
    home = importlib.import_module("guestdbg.kvm.hit_programs")
    with pytest.warns(DeprecationWarning, match=rf"now called guestdbg\.kvm\.hit_programs\.{new}"):
        found = getattr(former, old)
    assert found is getattr(home, new)


def test_a_renamed_module_has_nothing_else() -> None:
    former = importlib.import_module("guestdbg.kvm.programs")
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        former.Nothing  # noqa: B018
