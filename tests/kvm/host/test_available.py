"""Machines that cannot: which it is, and what to do, in words."""

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.kvm import Kvm, KvmError, open_kvm
from guestdbg.kvm.constants import KVM_CAP_IMMEDIATE_EXIT
from guestdbg.kvm.host import HostKvm, unusable

from .fake_kernel import descriptors, install

HERE_IS_ARM64 = platform.machine() in ("aarch64", "arm64")


def refused(device: Path) -> KvmError:
    with pytest.raises(KvmError) as error:
        HostKvm(str(device))
    assert "soft" in str(error.value)
    return error.value


@pytest.mark.skipif(HERE_IS_ARM64, reason="this is an arm64 machine: it is another test's")
def test_another_architecture_is_refused_by_name() -> None:
    """Also where there is a /dev/kvm: of x86, it would run x86 guests."""
    before = descriptors()
    with pytest.raises(KvmError) as error:
        open_kvm("host")
    assert error.value.errno == errno.ENOSYS
    assert platform.machine() in str(error.value)
    assert "arm64 machine" in str(error.value)
    assert "--provider soft" in str(error.value)
    assert "guestdbg lab" in str(error.value)
    assert not descriptors() - before


def test_another_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    error = unusable()
    assert error is not None
    assert error.errno == errno.ENOSYS
    assert "darwin" in str(error)


def test_no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path)
    error = refused(tmp_path / "absent")
    assert error.errno == errno.ENOENT
    assert "no KVM, or was not started at EL2" in str(error)


def test_no_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = install(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    error = refused(kernel.device)
    assert error.errno == errno.EACCES
    assert "usermod -aG kvm" in str(error)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENODEV, "not started at EL2"),
        (errno.ENXIO, "not started at EL2"),
        (errno.EACCES, "usermod"),
        (errno.ENOENT, "no KVM"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_open_fails(
    number: int, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = install(monkeypatch, tmp_path)

    def fail(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "open", fail)
    error = refused(kernel.device)
    assert error.errno == number
    assert text in str(error)


def test_another_version_of_the_interface(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = install(monkeypatch, tmp_path)
    kernel.version = 10
    before = descriptors()
    with pytest.raises(KvmError, match="version 10"):
        HostKvm(str(kernel.device))
    assert not descriptors() - before


def test_a_kernel_that_is_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = install(monkeypatch, tmp_path)
    kernel.caps[KVM_CAP_IMMEDIATE_EXIT] = 0
    before = descriptors()
    error = refused(kernel.device)
    assert error.errno == errno.ENOTSUP
    assert "KVM_CAP_IMMEDIATE_EXIT" in str(error)
    assert "Linux 4.13" in str(error)
    assert not descriptors() - before


def test_options_are_the_soft_providers() -> None:
    with pytest.raises(KvmError, match="no options \\(clock\\)") as error:
        open_kvm("host", clock="host")
    assert error.value.errno == errno.EINVAL


def test_auto_takes_the_host_where_it_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from guestdbg.kvm.host import available, kvm

    kernel = install(monkeypatch, tmp_path)
    monkeypatch.setattr(available.unusable, "__defaults__", (str(kernel.device),))
    monkeypatch.setattr(kvm.HostKvm.__init__, "__defaults__", (str(kernel.device),))

    def opened(**options: object) -> str:
        found: Kvm = open_kvm("auto", **options)
        with found:
            return found.provider

    assert opened() == "host"
    # Options are asked of the soft one.
    assert opened(breakpoints=2) == "soft"
    # A device that does not do is no reason to fail: there is another provider.
    kernel.caps[KVM_CAP_IMMEDIATE_EXIT] = 0
    assert opened() == "soft"
    kernel.device.unlink()
    assert opened() == "soft"


NOT_COMPILED = """
import sys

class NotCompiled:
    def find_spec(self, name, path, target=None):
        if name.startswith("guestdbg.cpu."):
            raise ImportError("not compiled here")

sys.meta_path.insert(0, NotCompiled())
from guestdbg.cli import main
main()
"""


def guestdbg(*words: str, program: str = "from guestdbg.cli import main; main()") -> str:
    result = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.skipif(HERE_IS_ARM64, reason="this is an arm64 machine: auto is the host there")
def test_auto_says_what_soft_needs_where_there_is_neither() -> None:
    for provider in ("auto", "soft"):
        said = guestdbg("caps", "--provider", provider, program=NOT_COMPILED)
        assert "needs the compiled processor" in said


@pytest.mark.skipif(HERE_IS_ARM64, reason="this is an arm64 machine: it is another test's")
@pytest.mark.parametrize("words", [("caps",), ("run", "examples/hello.elf")], ids=lambda w: w[0])
def test_commands_say_why_not(words: tuple[str, ...]) -> None:
    said = guestdbg(*words, "--provider", "host")
    assert f"this machine is {platform.machine()}" in said
    assert "--provider soft" in said
