"""QEMU and GDB for the lab: an archive with Debian's packages, which only this lab has."""

import re
import stat
import tempfile
from pathlib import Path

from bench import qemu
from bench.measurement import Unavailable
from guestdbg.lab import LabError, cache
from guestdbg.lab.fetch import apt, packages
from guestdbg.lab.image.cpio import Cpio
from guestdbg.lab.image.deb import read_deb

PACKAGES = ["qemu-system-arm", "gdb-multiarch"]
#: The files that are needed: the two programs, the libraries, and GDB's Python modules.
_FILES = re.compile(
    rf"usr/bin/({qemu.QEMU}|{qemu.GDB})$|(usr/)?lib/aarch64-linux-gnu/[^/]+\.so[^/]*$|"
    r"usr/share/gdb/(?!auto-load)"
)
#: Dependencies that are not needed to run the two: installation, users, configuration.
_NOT_NEEDED = re.compile(
    r"adduser|debconf|dpkg|iso-codes|libaudit-common|libdb5\.3|libpam|libsemanage|media-types|"
    r"passwd|perl|python3|readline-common|sensible-utils|tar$|ucf"
)


def layer() -> Path:
    """The archive, from the lab's cache. If it is not there, it is downloaded (50 MB) and built.

    Raises:
        Unavailable: it is not in the cache and cannot be downloaded.
    """
    if not apt.available():
        raise Unavailable(
            f"{' and '.join(PACKAGES)} for arm64 are downloaded by apt, which is missing"
        )
    suite = packages.SUITE
    root = cache.default_root()
    try:
        with cache.locked(root):
            debs = cache.entry(root, f"rivals-{suite}", lambda to: _fetch(suite, to))
            key = cache.digest(Path(__file__))[:12]
            return cache.entry(root, f"layer-{suite}-{key}", lambda to: _build(debs, to)) / "cpio"
    except LabError as error:
        raise Unavailable(f"needs {' and '.join(PACKAGES)} for arm64: {error}") from error


def _fetch(suite: str, to: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="guestdbg-apt-") as state:
        debian = apt.Apt(suite, Path(state))
        debian.update()
        there = packages.package_names(debian.depends)
        needed = debian.needed(PACKAGES)
        debian.download(
            [name for name in needed if name not in there and not _NOT_NEEDED.match(name)], to
        )


def _build(debs: Path, to: Path) -> None:
    archive = Cpio()
    for path in sorted(debs.glob("*.deb")):
        for info, data in read_deb(path):
            if not _FILES.match(info.name):
                continue
            name = info.name if info.name.startswith("usr/") else f"usr/{info.name}"
            if info.issym():
                archive.symlink(name, info.linkname)
            elif info.isreg():
                archive.file(name, data, stat.S_IMODE(info.mode))
    (to / "cpio").write_bytes(archive.finish())
