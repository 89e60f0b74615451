"""Names that a package imports at their first use."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from guestdbg.lazy_names import lazy_names

PACKAGES = [
    "guestdbg.container",
    "guestdbg.debugger",
    "guestdbg.history",
    "guestdbg.kvm",
    "guestdbg.kvm.host",
    "guestdbg.machine",
    "guestdbg.machine.usernet",
    "guestdbg.machine.virtio",
    "guestdbg.semihosting",
    "guestdbg.tables",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_is_completed(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    for public in package.__all__:
        assert getattr(package, public) is not None
        assert public in vars(package)  # found once, it is a name like any other


@pytest.mark.parametrize("name", PACKAGES)
def test_a_name_that_does_not_exist(name: str) -> None:
    package = importlib.import_module(name)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'Nothing'"):
        _ = package.Nothing


def test_an_import_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("lazy_package")
    monkeypatch.setitem(sys.modules, "lazy_package", package)
    getter, _ = lazy_names("lazy_package", {"lazy_package.home": ("Thing",)})
    with pytest.raises(ImportError):
        getter("Thing")
    home = ModuleType("lazy_package.home")
    home.Thing = int  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lazy_package.home", home)
    assert getter("Thing") is int
    assert vars(package)["Thing"] is int
