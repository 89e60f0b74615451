"""The vmlinux of Debian's kernels: the kernel as ELF, with its debug information; and its modules'.

It is in a package of the kernel's name and "-dbg", with the debug information of all modules: 250
to 350 MB. It is read up to the end of the file only (of Debian 12's 73 MB), into the cache.

Debian's lists have the hash of the whole package only. So a part of it is trusted because it comes
over HTTPS, as the lists are for a machine without apt; and its build ID is that of the kernel,
whose package was verified. From a mirror without HTTPS the whole package is downloaded, and its
hash compared.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from elftools.elf.elffile import ELFFile

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.guests.linux import linux_guest
from guestdbg.lab.image import deb_stream

if TYPE_CHECKING:
    from guestdbg.lab.fetch.debian_archive import Package
    from guestdbg.lab.guests.linux import LinuxGuest

__all__ = ["debian_module_files", "debian_vmlinux"]

_SECONDS = 60
_PIECE = 1 << 20
_MOST = 2 << 30
_MOST_OF_MODULE = 64 << 20
_MODULE = re.compile(r"usr/lib/debug/.*/([^/]+)\.ko(?:\.debug)?")
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


def debian_module_files(
    names: Sequence[str], suite: str = packages.SUITE, root: Path | None = None
) -> Path:
    """A folder with the debug files of modules of ``linux_guest(suite)``'s kernel, by their names.

    Downloads them if necessary, of the same package as ``debian_vmlinux``, up to the last of them.
    Raises LabError if that fails, or if there is no such module.
    """
    root = root or cache.default_root()
    guest = linux_guest(suite, root)
    wanted = sorted({name.replace("-", "_") for name in names})
    with cache.locked(root):
        state = guest.kernel.read_bytes() + ",".join(wanted).encode()
        name = f"modules-{suite}-{hashlib.sha256(state).hexdigest()[:12]}"
        return cache.entry(root, name, lambda to: _copy_modules(guest, suite, root, wanted, to))


def _copy_modules(guest: LinuxGuest, suite: str, root: Path, wanted: list[str], to: Path) -> None:
    package = _debug_package(guest, suite, root)
    missing = set(wanted)

    def is_wanted(path: str) -> bool:
        return _module_name(path) in missing

    def copy(source: IO[bytes] | http.client.HTTPResponse) -> None:
        for path, contents in deb_stream.matching_files(source, is_wanted, _MOST_OF_MODULE):
            missing.discard(_module_name(path))
            (to / path.rpartition("/")[2]).write_bytes(contents)
            if not missing:
                return

    _read(package, copy)
    if missing:
        raise LabError(f"{package.url} has no module {', '.join(sorted(missing))}")


def _module_name(path: str) -> str:
    found = _MODULE.fullmatch(path)
    return "" if found is None else found[1].replace("-", "_")


def _build(guest: LinuxGuest, suite: str, root: Path, to: Path) -> None:
    package = _debug_package(guest, suite, root)
    target = to / "vmlinux"
    with target.open("wb") as file:
        _copy(package, guest.release, file)
    if not _same_build(target, guest.kernel):
        raise LabError(f"{package.url} has the vmlinux of another build than {guest.kernel}")


def _debug_package(guest: LinuxGuest, suite: str, root: Path) -> Package:
    name, version = f"linux-image-{guest.release}", None
    for deb in (root / f"debs-{suite}").glob(f"{name}_*.deb"):
        version = deb.name.split("_")[1]
    return packages.find(suite, "arm64", f"{name}-dbg", version)


def _copy(package: Package, release: str, to: IO[bytes]) -> None:
    """The file of the package, as it comes."""
    names = re.compile(
        rf"usr/lib/debug/(boot/vmlinux-{re.escape(release)}|"
        rf"lib/modules/{re.escape(release)}/vmlinux)"
    )

    def is_vmlinux(name: str) -> bool:
        return names.fullmatch(name) is not None

    _read(package, lambda source: deb_stream.copy_file(source, is_vmlinux, to, _MOST))


def _read(package: Package, use: Callable[[IO[bytes] | http.client.HTTPResponse], object]) -> None:
    """Give ``use`` the bytes of the package, of which it reads as many as it needs."""
    try:
        if (secure := _open_secure(package)) is not None:
            with secure:
                use(secure)
            return
        with tempfile.TemporaryFile() as whole:
            _download(package, whole)
            whole.seek(0)
            use(whole)
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
