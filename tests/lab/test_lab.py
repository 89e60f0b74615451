"""Failures of the lab's machine: it dies, does not come up, or cannot be started."""

import os
import sys
from pathlib import Path

import pytest

from guestdbg.lab import Lab, LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.inside import frames


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
    ],
)
def test_machines_that_there_are_not(options: dict[str, int], message: str) -> None:
    with pytest.raises(LabError, match=message):
        Lab(**options)  # type: ignore[arg-type]


def test_a_processor_that_qemu_does_not_have(lab_root: Path) -> None:
    with pytest.raises(LabError, match="cortex-x99"):
        Lab(cpu="cortex-x99", root=lab_root).boot()


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
