"""The base image, built from the kernel packages of Debian up to 13 and of Debian 14."""

from pathlib import Path

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.image import initramfs
from guestdbg.lab.image.bytecode import Compiler
from tests.lab.reading import read_newc
from tests.lab.test_deb import ar, tar
from tests.lab.test_kernel_modules import module

NO_COMPILER = Compiler("3.14", ())
VERSION = "7.2.13+deb14-cloud-arm64"
DRIVERS = {
    f"usr/lib/modules/{VERSION}/kernel/drivers/virtio_mmio.ko": module(""),
    f"usr/lib/modules/{VERSION}/kernel/drivers/virtio_console.ko": module("virtio-mmio"),
}


def debs(directory: Path, packages: dict[str, dict[str, bytes]]) -> Path:
    for name, files in packages.items():
        members = (("debian-binary", b"2.0\n"), ("data.tar.xz", tar(**files)))
        (directory / f"{name}_1_arm64.deb").write_bytes(ar(*members))
    return directory


@pytest.mark.parametrize(
    "packages",
    [
        {f"linux-image-{VERSION}": {f"boot/vmlinuz-{VERSION}": b"kernel", **DRIVERS}},
        {
            f"linux-image-{VERSION}": {"usr/share/doc/x": b""},
            f"linux-base-{VERSION}": {f"usr/lib/modules/{VERSION}/modules.builtin": b""},
            f"linux-binary-{VERSION}": {f"usr/lib/modules/{VERSION}/vmlinuz": b"kernel"},
            f"linux-modules-{VERSION}": DRIVERS,
        },
    ],
    ids=["one package", "four"],
)
def test_a_kernel_and_its_modules(tmp_path: Path, packages: dict[str, dict[str, bytes]]) -> None:
    (tmp_path / "debs").mkdir()
    initramfs._build_base(
        debs(tmp_path / "debs", packages), tmp_path / "none", NO_COMPILER, tmp_path
    )
    assert (tmp_path / "vmlinuz").read_bytes() == b"kernel"
    assert (tmp_path / "release").read_text() == VERSION
    files = {entry.name: entry.data for entry in read_newc((tmp_path / "base.cpio").read_bytes())}
    assert files["lab/modules/order"] == b"virtio_mmio\nvirtio_console\n"
    assert not [name for name in files if "vmlinuz" in name]


def test_packages_without_a_kernel(tmp_path: Path) -> None:
    packages = {"linux-image-x": {"boot/config-x": b""}}
    with pytest.raises(LabError, match="holds no kernel; remove the directory"):
        initramfs._build_base(debs(tmp_path, packages), tmp_path, NO_COMPILER, tmp_path)
