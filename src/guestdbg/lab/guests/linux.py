"""Debian's arm64 cloud kernel, and an initial RAM file system with busybox for it.

The kernel and the packages are those of the lab. The kernel has its drivers for virtio as modules,
which the initial RAM file system loads.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.image import cpio as cpio_module
from guestdbg.lab.image import kernel_modules
from guestdbg.lab.image.cpio import Cpio
from guestdbg.lab.image.deb import read_deb

__all__ = ["LinuxGuest", "linux_guest"]

#: Loaded in this order, after what each depends on.
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng", "virtio_console", "overlay")

_PACKAGES = re.compile(r"(linux-|busybox-static).*\.deb")
_KERNEL = re.compile(r"boot/vmlinuz-([^/]+)|usr/lib/modules/([^/]+)/vmlinuz")

_INIT = b"""\
#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do
    insmod /modules/$module.ko
done
root=
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; esac
done
if [ -n "$root" ]; then
    mount $root /root && exec switch_root /root /sbin/init
    echo "init: no root file system on $root"
fi
stty cols 400
echo "init: Linux $(uname -r), $(nproc) processors"
export PS1='guest# '
setsid -c sh
poweroff -f
"""


@dataclass(frozen=True)
class LinuxGuest:
    """What ``guestdbg.load`` needs to boot Linux.

    Attributes:
        kernel: the Image.
        initrd: starts a shell with busybox on the console, and powers off when that ends. With
            ``root=DEVICE`` on the kernel's command line it mounts that and starts its /sbin/init.
        release: the kernel's, such as "6.1.0-56-cloud-arm64".
    """

    kernel: Path
    initrd: Path
    release: str


def linux_guest(suite: str = packages.SUITE, root: Path | None = None) -> LinuxGuest:
    """The kernel of a Debian release, from the cache ``root``. Downloads it if necessary.

    Raises LabError if that fails.
    """
    root = root or cache.default_root()
    if not re.fullmatch(r"[a-z]+", suite):
        raise LabError(f"{suite!r} is not a Debian release; bookworm and trixie are")
    with cache.locked(root):
        debs = cache.entry(root, f"debs-{suite}", lambda to: packages.fetch(suite, to))
        state = hashlib.sha256((debs / "manifest.json").read_bytes())
        for path in (__file__, cpio_module.__file__, kernel_modules.__file__):
            state.update(Path(path).read_bytes())
        name = f"linux-{suite}-{state.hexdigest()[:12]}"
        directory = cache.entry(root, name, lambda to: _build(debs, to))
    release = (directory / "release").read_text()
    return LinuxGuest(directory / "vmlinuz", directory / "initrd", release)


class _Modules(Mapping[str, bytes]):
    """Kernel modules by name, of which only those that are asked for are decompressed."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}

    def add(self, name: str, path: str, data: bytes) -> None:
        self._files[name] = path, data

    def __getitem__(self, name: str) -> bytes:
        return kernel_modules.plain(*self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _build(debs: Path, to: Path) -> None:
    modules = _Modules()
    in_kernel: set[str] = set()
    busybox = b""
    for path in sorted(debs.glob("*.deb")):
        if not _PACKAGES.fullmatch(path.name):
            continue
        for info, data in read_deb(path):
            if (module := kernel_modules.module_name(info.name)) is not None:
                modules.add(module, info.name, data)
            elif info.name.endswith("/modules.builtin"):
                in_kernel = kernel_modules.built_in(data)
            elif kernel := _KERNEL.fullmatch(info.name):
                (to / "vmlinuz").write_bytes(data)
                (to / "release").write_text(kernel[1] or kernel[2])
            elif info.name.endswith("bin/busybox"):
                busybox = data
    if not busybox or not (to / "vmlinuz").exists():
        raise LabError(f"{debs} holds no kernel or no busybox; remove it to download it again")
    order = kernel_modules.load_order(list(MODULES), modules, in_kernel)
    archive = Cpio()
    for directory in ("proc", "sys", "dev", "tmp", "root"):
        archive.directory(directory)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox, 0o755)
    archive.symlink("bin/sh", "busybox")
    archive.file("init", _INIT, 0o755)
    for module in order:
        archive.file(f"modules/{module}.ko", modules[module])
    archive.file("modules/order", ("\n".join(order) + "\n").encode())
    (to / "initrd").write_bytes(archive.finish())
