"""The kernel's own GDB scripts (lx-ps, lx-symbols, ...) for Debian 12's kernel.

Debian builds its kernels without them (GDB_SCRIPTS). They are in the package of the sources, and
their constants are made as the kernel's build makes them: by the preprocessor, of the kernel's
headers. That takes a download of 150 MB.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO, cast

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.guests.linux import linux_guest
from guestdbg.lab.image import deb_stream
from guestdbg.lab.image.deb import read_deb

__all__ = ["linux_gdb_scripts"]

_SUITE = "bookworm"
_SOURCE = "linux-source-6.1"
_COMPILER = "aarch64-linux-gnu-gcc"
_SECONDS = 60
_MOST = 1 << 30
#: In constants.py.in, after the headers.
_END_OF_HEADERS = "<!-- end-c-headers -->"
_INCLUDES = (
    *("common/arch/arm64/include", "kernel/arch/arm64/include/generated"),
    *("common/include", "kernel/include"),
    *("common/arch/arm64/include/uapi", "kernel/arch/arm64/include/generated/uapi"),
    *("common/include/uapi", "kernel/include/generated/uapi"),
)
_FIRST = ("compiler-version.h", "kconfig.h", "compiler_types.h")


def linux_gdb_scripts(root: Path | None = None) -> Path:
    """A directory with ``vmlinux-gdb.py`` and ``modules``, the files of the kernel's modules.

    They are those of ``linux_guest("bookworm")``. GDB takes the scripts by ``source``, with the
    kernel's vmlinux as its program. Raises LabError if they cannot be downloaded or made.
    """
    root = root or cache.default_root()
    guest = linux_guest(_SUITE, root)
    state = hashlib.sha256(Path(__file__).read_bytes() + guest.release.encode()).hexdigest()
    with cache.locked(root):
        return cache.entry(
            root, f"gdb-scripts-{state[:12]}", lambda to: _build(guest.release, root, to)
        )


def _build(release: str, root: Path, to: Path) -> None:
    compiler = shutil.which(_COMPILER)
    if compiler is None:
        raise LabError(f"the constants of the kernel's GDB scripts need {_COMPILER}")
    common = f"linux-headers-{release.removesuffix('-cloud-arm64')}-common"
    kernel = f"linux-headers-{release}"
    with tempfile.TemporaryDirectory(prefix="guestdbg-gdb-scripts-") as temporary:
        work = Path(temporary)
        names = [_SOURCE, common, kernel]
        packages.download(_SUITE, "arm64", lambda _: names, work)
        for name, place in ((common, "common"), (kernel, "kernel")):
            _unpack(_one(work, name), f"usr/src/{name}/", work / place)
        _take_scripts(_one(work, _SOURCE), work, to)
        _make_constants(compiler, work, to / "scripts/gdb/linux")
    (to / "vmlinux-gdb.py").write_bytes((to / "scripts/gdb/vmlinux-gdb.py").read_bytes())
    modules = f"lib/modules/{release}/kernel/"
    _unpack(_one(root / f"debs-{_SUITE}", f"linux-image-{release}"), modules, to / "modules")


def _one(directory: Path, name: str) -> Path:
    found = sorted(directory.glob(f"{name}_*.deb"))
    if not found:
        raise LabError(f"{directory} has no package {name}")
    return found[-1]


def _unpack(deb: Path, prefix: str, to: Path) -> None:
    """The regular files of a package below ``prefix``."""
    for info, data in read_deb(deb):
        if info.isreg() and info.name.startswith(prefix):
            _write(to, info.name.removeprefix(prefix), data)


def _write(to: Path, name: str, data: bytes) -> None:
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise LabError(f"a package has a file outside of its directory: {name}")
    target = to / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _take_scripts(deb: Path, work: Path, to: Path) -> None:
    """scripts/gdb, out of the archive of the sources in the package."""
    archive = work / "source.tar.xz"
    with deb.open("rb") as package, archive.open("wb") as file:
        deb_stream.copy_file(package, lambda name: name.endswith(".tar.xz"), file, _MOST)
    found = False
    try:
        with tarfile.open(archive, "r|xz") as source:
            for info in source:
                _, _, name = info.name.partition("/")
                if name.startswith("scripts/gdb/"):
                    found = True
                    if info.isreg():
                        _write(to, name, cast("IO[bytes]", source.extractfile(info)).read())
                elif found:
                    break
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"{deb.name}: the sources cannot be read: {error}") from error
    if not found:
        raise LabError(f"{deb.name} has no scripts/gdb")


def _make_constants(compiler: str, work: Path, scripts: Path) -> None:
    command = [compiler, "-E", "-x", "c", "-P", "-nostdinc", "-D__KERNEL__"]
    command += [f"-I{work / directory}" for directory in _INCLUDES]
    for header in _FIRST:
        command += ["-include", str(work / "common/include/linux" / header)]
    command += ["-DKASAN_SHADOW_SCALE_SHIFT=", str(scripts / "constants.py.in")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{compiler} took more than {_SECONDS} seconds") from error
    _, end, constants = done.stdout.partition(_END_OF_HEADERS)
    if done.returncode or not end:
        raise LabError(f"the constants of the GDB scripts: {done.stderr.strip()[-1500:]}")
    (scripts / "constants.py").write_text(constants.partition("\n")[2])
