"""Debian root file systems for Linux guests: any packages, unpacked into a disk image.

The packages and all that they depend on are chosen and downloaded by apt, with a state of its own.
They are only unpacked: no script of theirs runs, so that no arm64 program has to run on this
machine. Programs such as Python and GCC need none; services would. ``mke2fs -d`` makes the file
system, without root and without a mount.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import apt
from guestdbg.lab.image.deb import read_deb

__all__ = ["debian_disk"]

_MIB = 1 << 20
_SECONDS = 600
#: Since Debian 12, links into /usr.
_MERGED = ("bin", "sbin", "lib")
_EXTRA = ("busybox-static",)  # for /sbin/init and its shell

#: The first process of the root file system: a shell on the console.
_INIT = b"""\
#!/usr/bin/busybox sh
export PATH=/usr/sbin:/usr/bin HOME=/root
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
busybox mount -t tmpfs tmpfs /tmp
busybox stty cols 400
export PS1='guest# '
busybox setsid -c busybox sh
busybox sync
busybox mount -o remount,ro /
busybox poweroff -f
"""


def debian_disk(
    packages: Sequence[str], suite: str, *, root: Path | None = None, spare: int = 64 * _MIB
) -> Path:
    """An ext4 disk image with ``packages`` and what they depend on, from the cache ``root``.

    Its /sbin/init is a shell with busybox on the console; when that ends, the guest powers off.
    ``spare``: bytes that stay free. The image is for use with an overlay: it is kept.

    Raises LabError if a package cannot be downloaded, or if apt or mke2fs is missing.
    """
    root = root or cache.default_root()
    if not apt.available():
        raise LabError("a Debian root file system needs apt-get and debian-archive-keyring here")
    mke2fs = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if mke2fs is None:
        raise LabError("a Debian root file system needs mke2fs, of the package e2fsprogs")
    state = hashlib.sha256(Path(__file__).read_bytes())
    state.update(f"{suite} {spare} {sorted(packages)}".encode())
    with cache.locked(root):
        directory = cache.entry(
            root,
            f"disk-{suite}-{state.hexdigest()[:12]}",
            lambda to: _build([*packages, *_EXTRA], suite, spare, mke2fs, to),
        )
    return directory / "disk.img"


def _build(packages: list[str], suite: str, spare: int, mke2fs: str, to: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="guestdbg-disk-") as temporary:
        work = Path(temporary)
        tree, debs, state = (work / name for name in ("tree", "debs", "apt"))
        for directory in (tree, debs, state):
            directory.mkdir()
        debian = apt.Apt(suite, state)
        debian.update()
        debian.download(debian.needed(packages), debs)
        _unpack(sorted(debs.glob("*.deb")), tree)
        size = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file())
        # The sizes of files in whole blocks, and a tenth for what the file system itself needs.
        files = sum(1 for _ in tree.rglob("*"))
        mib = ((size + files * 4096) * 11 // 10 + spare) // _MIB + 1
        image = to / "disk.img"
        command = [mke2fs, "-q", "-t", "ext4", "-d", str(tree), "-E", "root_owner=0:0"]
        command += ["-O", "^has_journal", "-U", "clear", str(image), f"{mib}M"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"mke2fs took more than {_SECONDS} seconds") from error
        if done.returncode:
            raise LabError(f"mke2fs failed:\n{done.stderr.strip()[-1500:]}")


def _unpack(debs: list[Path], tree: Path) -> None:
    for name in ("proc", "sys", "dev", "tmp", "run", "root", "etc", "usr/bin", "usr/sbin"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in _MERGED:
        (tree / "usr" / name).mkdir(exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    for path in debs:
        for info, data in read_deb(path):
            _put(tree, _merged(info.name), info, data, path)
    init = tree / "usr/sbin/init"
    init.unlink(missing_ok=True)
    init.write_bytes(_INIT)
    init.chmod(0o755)


def _merged(name: str) -> str:
    """The path when /bin, /lib and /sbin are links into /usr."""
    return f"usr/{name}" if name.partition("/")[0] in _MERGED else name


def _inside(tree: Path, name: str, deb: Path) -> Path:
    target = tree / name
    if ".." in target.parts or not target.parent.resolve().is_relative_to(tree.resolve()):
        raise LabError(f"{deb.name} has a file outside of its directory: {name}")
    return target


def _put(tree: Path, name: str, info: tarfile.TarInfo, data: bytes, deb: Path) -> None:
    """One file of a package. Names come from the package: none may lead out of ``tree``."""
    target = _inside(tree, name, deb)
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(info.mode)
    if info.isdir():
        if not target.is_symlink():
            target.mkdir(exist_ok=True)
            target.chmod(mode | 0o700)
        return
    if target.is_symlink() or target.is_file():
        target.unlink()
    if info.issym():
        target.symlink_to(info.linkname)
    elif info.islnk():
        target.hardlink_to(_inside(tree, _merged(info.linkname.removeprefix("./")), deb))
    elif info.isreg():
        target.write_bytes(data)
        target.chmod(mode)
