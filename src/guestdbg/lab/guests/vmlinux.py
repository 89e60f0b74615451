"""The vmlinux of Debian's kernels: the kernel as ELF, with its debug information.

It is in a package of the kernel's name and "-dbg", with the debug information of all modules: 250
to 350 MB. It is read up to the end of the file only (of Debian 12's 73 MB), into the cache.

Debian's lists have the hash of the whole package only. So a part of it is trusted because it comes
over HTTPS, as the lists are for a machine without apt; and its build ID is that of the kernel,
whose package was verified. From a mirror without HTTPS the whole package is downloaded, and its
hash compared.
"""

import hashlib
import http.client
import re
import tempfile
import urllib.request
from pathlib import Path
from typing import IO

from elftools.elf.elffile import ELFFile

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.fetch.debian_archive import Package
from guestdbg.lab.guests.linux import LinuxGuest, linux_guest
from guestdbg.lab.image import deb_stream

__all__ = ["debian_vmlinux"]

_SECONDS = 60
_PIECE = 1 << 20
_MOST = 2 << 30
_BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.DOTALL)


def debian_vmlinux(suite: str = packages.SUITE, root: Path | None = None) -> Path:
    """The vmlinux of ``linux_guest(suite)``'s kernel, from the cache ``root``.

    Downloads it if necessary: 270 to 410 MB on the disk. Raises LabError if that fails, or if
    Debian has no debug package of this kernel any more.
    """
    root = root or cache.default_root()
    guest = linux_guest(suite, root)
    with cache.locked(root):
        name = f"vmlinux-{suite}-{hashlib.sha256(guest.kernel.read_bytes()).hexdigest()[:12]}"
        directory = cache.entry(root, name, lambda to: _build(guest, suite, root, to))
    return directory / "vmlinux"


def _build(guest: LinuxGuest, suite: str, root: Path, to: Path) -> None:
    name, version = f"linux-image-{guest.release}", None
    for deb in (root / f"debs-{suite}").glob(f"{name}_*.deb"):
        version = deb.name.split("_")[1]
    package = packages.find(suite, "arm64", f"{name}-dbg", version)
    target = to / "vmlinux"
    with target.open("wb") as file:
        _copy(package, guest.release, file)
    if not _same_build(target, guest.kernel):
        raise LabError(f"{package.url} has the vmlinux of another build than {guest.kernel}")


def _copy(package: Package, release: str, to: IO[bytes]) -> None:
    """The file of the package, as it comes."""
    names = re.compile(
        rf"usr/lib/debug/(boot/vmlinux-{re.escape(release)}|"
        rf"lib/modules/{re.escape(release)}/vmlinux)"
    )

    def is_vmlinux(name: str) -> bool:
        return names.fullmatch(name) is not None

    try:
        if (secure := _open_secure(package)) is not None:
            with secure:
                deb_stream.copy_file(secure, is_vmlinux, to, _MOST)
            return
        with tempfile.TemporaryFile() as whole:
            _download(package, whole)
            whole.seek(0)
            deb_stream.copy_file(whole, is_vmlinux, to, _MOST)
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{package.url} cannot be downloaded: {error}") from error
    except LabError as error:
        raise LabError(f"{package.url}: {error}") from error


def _open_secure(package: Package) -> http.client.HTTPResponse | None:
    """The answer of the server over HTTPS; None if it has no HTTPS."""
    url = re.sub("^http:", "https:", package.url)
    if not url.startswith("https:"):
        return None
    try:
        answer = urllib.request.urlopen(url, timeout=_SECONDS)
    except OSError:
        if url == package.url:
            raise
        return None
    if answer.headers["Content-Length"] != str(package.size):
        answer.close()
        raise LabError(f"it does not have the {package.size} bytes that Debian's lists give")
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def _download(package: Package, to: IO[bytes]) -> None:
    """The whole package, whose hash is verified."""
    found, size = hashlib.sha256(), 0
    with urllib.request.urlopen(package.url, timeout=_SECONDS) as answer:
        while piece := answer.read(_PIECE):
            size += len(piece)
            if size > package.size:
                break
            found.update(piece)
            to.write(piece)
    if size != package.size or found.hexdigest() != package.sha256:
        raise LabError("it is not the file that Debian's lists describe")


def _same_build(vmlinux: Path, kernel: Path) -> bool:
    """Whether the build ID of ``vmlinux`` is in the kernel's Image."""
    with vmlinux.open("rb") as file:
        notes = [segment.data() for segment in ELFFile(file).iter_segments("PT_NOTE")]
    own = set(_BUILD_ID.findall(b"".join(notes)))
    return bool(own & set(_BUILD_ID.findall(kernel.read_bytes())))
