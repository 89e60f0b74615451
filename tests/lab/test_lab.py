"""Failures of the lab's machine: it dies, does not come up, or cannot be started."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guestdbg.lab import Lab, LabError, prepare
from guestdbg.lab.fetch import packages
from guestdbg.lab.inside import frames
from guestdbg.lab.machine import qemu
from guestdbg.lab.machine.qemu import find, processor


def test_a_machine_that_ends_under_a_command(lab_root: Path) -> None:
    """The error has the kernel's last messages. Nothing is left, and the lab can boot again."""
    lab = Lab(root=lab_root)
    lab.boot()
    script = "echo '<0>guestdbg: these are the last words' >/dev/kmsg; busybox poweroff -f"
    with pytest.raises(LabError, match=r"(?s)ended while sh ran.*these are the last words"):
        lab.run(["sh", "-c", script], timeout=200)
    assert not lab.running
    with pytest.raises(LabError, match="not running"):
        lab.run(["true"])
    with lab:
        assert lab.run(["echo", "again"], timeout=200).stdout == b"again\n"
        assert lab._process is not None
        pid = lab._process.pid
        assert lab._directory is not None
        directory = Path(lab._directory.name)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not directory.exists()


def test_a_kernel_that_panics_under_a_command(lab_root: Path) -> None:
    """The error has the reason of the panic, but not its stack dump."""
    with Lab(root=lab_root) as lab, pytest.raises(LabError) as caught:
        lab.run(["sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000"], timeout=200)
    first, *last = str(caught.value).splitlines()
    assert first == (
        "the lab's machine ended while sh ran: its kernel panicked (sysrq triggered crash)"
    )
    assert "Trigger a crash" in str(last)
    assert "Call trace" not in str(last)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_machine_is_recorded(
    lab_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The signal's exception is raised when the machine can be ended."""

    def interrupted(*arguments: Any) -> Any:
        process, sock = qemu.start(*arguments)
        started.append(process)
        signal.raise_signal(number)
        return process, sock

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    started: list[subprocess.Popen[bytes]] = []
    qemu_that(tmp_path, monkeypatch, "exec sleep 1000")
    monkeypatch.setattr("guestdbg.lab.machine.lab.start", interrupted)
    lab = Lab(root=lab_root)
    before = signal.signal(number, ended)
    try:
        with pytest.raises(KeyboardInterrupt):
            lab.boot()
        assert signal.getsignal(number) is ended
    finally:
        signal.signal(number, before)
    assert started[0].returncode == -signal.SIGKILL
    assert not lab.running


def test_gic_version_2_and_two_processors(lab_root: Path) -> None:
    with Lab(root=lab_root, gic=2, smp=2, memory=600) as lab:
        said = lab.run(["sh", "-c", "dmesg | grep GIC; grep -c ^processor /proc/cpuinfo"]).stdout
    assert b"\n2\n" in said
    assert b"GICv3" not in said


def qemu_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    program = path / "qemu-system-aarch64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")


def test_without_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"not installed; .*apt-get install qemu-system-arm"):
        Lab(root=tmp_path).boot()
    assert list(tmp_path.iterdir()) == []


def test_a_qemu_that_fails(lab_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    qemu_that(tmp_path, monkeypatch, "echo qemu: no such machine >&2; exit 1")
    with pytest.raises(LabError, match=r"(?s)ended before it came up.*no such machine"):
        Lab(root=lab_root).boot()


def test_a_qemu_that_says_nothing(
    lab_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    qemu_that(tmp_path, monkeypatch, "echo booting; exec sleep 1000")
    lab = Lab(root=lab_root, boot_timeout=0.5)
    with pytest.raises(LabError, match=r"(?s)did not come up within 0.5 seconds.*booting"):
        lab.boot()
    assert not lab.running


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"\xff" * 99, "sent invalid data"),
        (frames.frame(frames.STDOUT, b"hello"), "sent invalid data"),
        (frames.frame_json(frames.HELLO, {"kvm": False}), "came up without KVM"),
    ],
    ids=["noise", "no greeting", "no KVM"],
)
def test_a_machine_that_is_no_lab(
    lab_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: bytes, message: str
) -> None:
    program = (
        "import os, re, sys, time\n"
        "fd = re.search(r'fd=(\\d+)', str(sys.argv))[1]\n"
        f"os.write(int(fd), {said!r})\n"
        "time.sleep(1000)\n"
    )
    (tmp_path / "fake.py").write_text(program)
    qemu_that(tmp_path, monkeypatch, f'exec {sys.executable} {tmp_path}/fake.py "$@"')
    with pytest.raises(LabError, match=message):
        Lab(root=lab_root).boot()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smp": 0}, "1 to 64 processors"),
        ({"smp": 9, "gic": 2}, "1 to 8 processors"),
        ({"memory": 100}, "512 to 65536 MiB"),
        ({"gic": 4}, "version 2 or version 3"),
        ({"cpu": ""}, "QEMU's name of a processor"),
        ({"append": "a\nb"}, "one line of text"),
        ({"append": "x" * 1901}, "at most 1900 bytes"),
        ({"machine": "secure"}, "it must be NAME=VALUE"),
        ({"machine": "secure=on,"}, "it must be NAME=VALUE"),
        ({"machine": "secure=on,,kvm=x"}, "it must be NAME=VALUE"),
        ({"machine": "secure=on,virtualization=off"}, "itself sets virtualization"),
        ({"machine": "type=sbsa-ref"}, "itself sets type"),
    ],
)
def test_machines_that_there_are_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        Lab(**options)


@pytest.mark.parametrize(
    ("cpu", "release", "expected"),
    [
        ("nvhe", "6.1.0-56-cloud-arm64", "cortex-a57"),
        ("nvhe", "6.12.117+deb13-cloud-arm64", "cortex-a57"),
        ("nvhe", "6.14.0", "cortex-a72"),
        ("nvhe", "7.2.13+deb14-cloud-arm64", "cortex-a72"),
        ("vhe", "7.2.13", "max,pauth-impdef=on,sve=off"),
        ("neoverse-n1", "7.2.13", "neoverse-n1"),
    ],
)
def test_the_processor_suits_the_kernel(cpu: str, release: str, expected: str) -> None:
    assert processor(cpu, release) == expected


def test_a_qemu_of_its_own(lab_root: Path, tmp_path: Path) -> None:
    """A script, as for a QEMU with its own libraries; and options for the kernel and the board.

    The script does not replace itself by QEMU, which must end with it nevertheless.
    """
    script = tmp_path / "my-qemu"
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n{find()} "$@"\n')
    script.chmod(0o755)
    options: dict[str, Any] = {"append": "kvm-arm.mode=protected", "machine": "secure=on,mte=off"}
    with Lab(root=lab_root, qemu=script, **options) as lab:
        assert lab.description["cpu"] == "cortex-a57"
        assert lab.description["kernel"].startswith("6.1.")
        assert "Protected nVHE mode initialized" in lab.console
        assert lab._process is not None
        group = lab._process.pid
    said = (tmp_path / "said").read_text()
    assert "-machine virt,virtualization=on,gic-version=3,secure=on,mte=off " in said
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "this QEMU is not there"),
        ("", "cannot be started: Exec format error"),
        ("#!/bin/sh", "this is no QEMU for arm64"),
        ("#!/bin/sh\necho 'cannot open libfoo.so.1' >&2; exit 127", r"(?s)not run.*libfoo\.so"),
        ("#!/bin/sh\necho 'pc   Standard PC'", r"(?s)does not list the machine virt.*Standard PC"),
        ("#!/nowhere/sh", "cannot be started: No such file"),
    ],
)
def test_a_qemu_that_cannot_be_used(tmp_path: Path, script: str | None, message: str) -> None:
    """It is noticed before anything is downloaded."""
    path = tmp_path / "qemu"
    if script is not None:
        path.write_text(script)
        path.chmod(0o755)
    with pytest.raises(LabError, match=message) as caught:
        Lab(root=tmp_path / "lab", qemu=path).boot()
    assert str(path) in str(caught.value)
    assert not (tmp_path / "lab").exists()


def test_a_qemu_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    for path, message in (("text", "is not executable"), (".", "is a directory")):
        with pytest.raises(LabError, match=message):
            prepare(tmp_path / "lab", qemu=tmp_path / path)


def test_a_processor_that_qemu_does_not_have(lab_root: Path) -> None:
    with pytest.raises(LabError, match="cortex-x99"):
        Lab(cpu="cortex-x99", root=lab_root).boot()


@pytest.mark.parametrize(
    ("append", "message"),
    [
        ("rdinit=/none root=/dev/none", r"(?s)its kernel panicked \(VFS.*Cannot open root device"),
        ("kvm-arm.mode=none", r"(?s)came up without KVM:.*kvm-arm.mode=none"),
    ],
    ids=["no first process", "no KVM"],
)
def test_a_kernel_that_does_not_come_up(lab_root: Path, append: str, message: str) -> None:
    """The error has the kernel's messages."""
    with pytest.raises(LabError, match=message):
        Lab(root=lab_root, append=append).boot()


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """apt without a network: the error has its message, and no incomplete cache is left."""
    monkeypatch.setattr("guestdbg.lab.fetch.apt.MIRROR", "http://127.0.0.1:9")
    with pytest.raises(LabError, match="linux-image-cloud-arm64"):
        Lab(root=tmp_path / "lab", suite="trixie").boot()
    assert [p.name for p in (tmp_path / "lab").iterdir()] == ["lock"]


def test_a_release_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"'\.\./x' is not a Debian release"):
        Lab(root=tmp_path, suite="../x").boot()


def test_which_packages() -> None:
    depends = {
        "linux-image-cloud-arm64": ["linux-image-6.1.0-56-cloud-arm64"],
        "linux-image-6.1.0-56-cloud-arm64": ["kmod", "linux-base", "linux-initramfs-tool"],
        "python3-minimal": ["python3.11-minimal", "dpkg"],
    }
    names = packages.package_names(lambda package: depends[package])
    assert names[:4] == [
        "linux-image-6.1.0-56-cloud-arm64",
        "python3.11-minimal",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
    ]
    with pytest.raises(LabError, match="linux-image-cloud-arm64 has no dependency that matches"):
        packages.package_names(lambda _: [])


def test_a_kernel_in_parts() -> None:
    """As in Debian 14: the package of the image is empty and only has dependencies."""
    version = "7.2.13+deb14-cloud-arm64"
    parts = [f"linux-{part}-{version}" for part in ("base", "binary", "modules")]
    depends = {
        "linux-image-cloud-arm64": ["linux-base-cloud-arm64", f"linux-image-{version}"],
        f"linux-image-{version}": ["linux-base", "dracut", "linux-initramfs-tool", *parts],
        "python3-minimal": ["python3.14-minimal"],
    }
    names = packages.package_names(lambda package: depends[package])
    assert names[:5] == [f"linux-image-{version}", *parts, "python3.14-minimal"]
    assert "libzstd1" in names
