"""The lab's kernel and its initial file system.

The file system is two cpio archives in a row. The first, the base, holds Debian's Python and
libraries, kernel modules and wheels. It is kept in the cache and changes only when they do. The
second holds guestdbg as it is in this source tree now.
"""

import hashlib
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages, wheels
from guestdbg.lab.image import bytecode, host_python, kernel_modules
from guestdbg.lab.image.bytecode import Compiler
from guestdbg.lab.image.cpio import Cpio
from guestdbg.lab.image.deb import read_deb

PACKAGE = Path(__file__).resolve().parents[2]
#: Where guestdbg and its wheels are in the lab. Debian's sys.path has a directory for them,
#: /usr/local/lib/python3.N/dist-packages, but N is known only when the packages are.
SITE = "/usr/local/lib/guestdbg"
#: The kernel modules that the channel to the host needs.
MODULES = ["virtio_mmio", "virtio_console"]

#: Where the kernel is in Debian's packages: the second path since Debian 14.
_KERNEL = re.compile(r"boot/vmlinuz-([^/]+)|usr/lib/modules/([^/]+)/vmlinuz")
_MERGED = ("bin", "lib", "sbin")
#: Not needed in the lab, and half of its size. pygments is a dependency of rich that is not used.
_UNWANTED = re.compile(
    r"usr/share/(?!python)|usr/lib/linux-image|var/|etc/(?!ld\.so|passwd|group|nsswitch)|"
    r".*/(gconv|audit)/|usr/lib/python3[^/]*/(test|idlelib|lib2to3|ensurepip|tkinter|turtledemo|"
    r"distutils|pydoc_data)/|pygments/lexers/(?!__init__|_mapping)"
)
#: The commands that are links to busybox, for scripts and for interactive use.
_APPLETS = (
    "sh cat chmod clear cp date dd df dmesg du echo env false find free grep head hexdump id kill "
    "less ln ls md5sum mkdir mount mv ps pwd rm rmdir sed seq sha256sum sleep sort stty tail tee "
    "top touch true tty umount uname uniq vi wc which xargs"
)
#: The first process: the agent, which imports only Python's standard library and itself.
_INIT = b"""\
#!/usr/bin/python3 -IS
import runpy
import sys

sys.path.insert(0, "/lab")
runpy.run_module("inside", run_name="__main__")
"""
_SCRIPT = b"""\
#!/usr/bin/python3
from guestdbg.cli import main

main(prog_name="guestdbg")
"""
_SITECUSTOMIZE = f"import sys\n\nsys.path.append({SITE!r})\n".encode()

_SUFFIXES = {".py", ".elf", ".json", ".typed"}


class _PythonCpio(Cpio):
    """An archive that adds the bytecode of its Python sources."""

    def __init__(self, compiler: Compiler) -> None:
        super().__init__()
        self._compiler = compiler
        self._sources: dict[str, bytes] = {}

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        super().file(path, data, mode)
        if path.endswith(".py"):
            self._sources[path] = data

    def finish(self) -> bytes:
        sources, self._sources = self._sources, {}
        for path, data in self._compiler.compile_all(sources).items():
            super().file(path, data)
        return super().finish()


@dataclass(frozen=True)
class Base:
    """The part that is cached.

    Attributes:
        release: the kernel's, such as "6.1.0-56-cloud-arm64".
        compiler: for the Python in the lab.
    """

    kernel: Path
    release: str
    archive: Path
    compiler: Compiler


def base(root: Path, suite: str = packages.SUITE) -> Base:
    """The base for a Debian release, from the cache ``root``. Downloads and builds it if necessary.

    Raises LabError if that fails.
    """
    if not re.fullmatch(r"[a-z]+", suite):
        raise LabError(f"{suite!r} is not a Debian release; bookworm and trixie are")
    with cache.locked(root):
        debs = cache.entry(root, f"debs-{suite}", lambda to: packages.fetch(suite, to))
        python = _python_version(debs)
        tag = hashlib.sha256(" ".join(wheels.requirements(python)).encode()).hexdigest()[:8]
        wheel_files = cache.entry(
            root, f"wheels-{python}-{tag}", lambda to: wheels.fetch(python, to)
        )
        command = bytecode.own_command(python) or host_python.command(root, suite, python)
        compiler = Compiler(python, tuple(command))
        key = _key(debs, wheel_files, compiler=compiler)
        directory = cache.entry(
            root, f"base-{suite}-{key}", lambda to: _build_base(debs, wheel_files, compiler, to)
        )
    release = (directory / "release").read_text()
    return Base(directory / "vmlinuz", release, directory / "base.cpio", compiler)


def _python_version(debs: Path) -> str:
    for path in debs.glob("python3.*-minimal_*.deb"):
        return path.name.removeprefix("python").partition("-")[0]
    raise LabError(f"{debs} holds no Python; remove the directory to download it again")


def _key(*directories: Path, compiler: Compiler) -> str:
    """A key that changes with what goes into the base, and with the code that builds it."""
    state = hashlib.sha256(f"{compiler.python} {bool(compiler.command)}".encode())
    for directory in directories:
        state.update((directory / "manifest.json").read_bytes())
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(wheels.__file__)):
        state.update(path.read_bytes())
    return state.hexdigest()[:12]


def _build_base(debs: Path, wheel_files: Path, compiler: Compiler, to: Path) -> None:
    python = compiler.python
    archive = _PythonCpio(compiler)
    for directory in ("proc", "sys", "dev", "tmp", "run", "lab"):
        archive.directory(directory)
    for name in _MERGED:
        archive.symlink(name, f"usr/{name}")
    archive.character_device("dev/console", 5, 1)
    found: dict[str, bytes] = {}
    in_kernel: set[str] = set()
    for path in sorted(debs.glob("*.deb")):
        for info, data in read_deb(path):
            info.name = _merged(info.name)
            if (module := kernel_modules.module_name(info.name)) is not None:
                found[module] = kernel_modules.plain(info.name, data)
            elif info.name.endswith("/modules.builtin"):
                in_kernel = kernel_modules.built_in(data)
            elif kernel := _KERNEL.fullmatch(info.name):
                (to / "vmlinuz").write_bytes(data)
                (to / "release").write_text(kernel[1] or kernel[2])
            elif not info.name.startswith(("boot/", "usr/lib/modules/")):
                _add(archive, info, data)
    if not (to / "vmlinuz").exists():
        raise LabError(f"{debs} holds no kernel; remove the directory to download it again")
    links = {"python3": f"python{python}", "python": f"python{python}"}
    links |= dict.fromkeys(_APPLETS.split(), "busybox")
    for link, target in links.items():
        archive.symlink(f"usr/bin/{link}", target)
    order = kernel_modules.load_order(MODULES, found, in_kernel)
    for module in order:
        archive.file(f"lab/modules/{module}.ko", found[module])
    archive.file("lab/modules/order", ("\n".join(order) + "\n").encode())
    for path in sorted(wheel_files.glob("*.whl")):
        for member, data, mode in wheels.read_wheel(path):
            if not _UNWANTED.match(member):
                archive.file(f"{SITE}/{member}", data, mode)
    (to / "base.cpio").write_bytes(archive.finish())


def _merged(path: str) -> str:
    """The path when /bin, /lib and /sbin are links into /usr, as Debian installs it."""
    first = path.partition("/")[0]
    return f"usr/{path}" if first in _MERGED else path


def _add(archive: Cpio, info: tarfile.TarInfo, data: bytes) -> None:
    if _UNWANTED.match(info.name) or info.name.endswith((".gz", ".a")):
        return
    mode = stat.S_IMODE(info.mode)
    if info.isdir():
        archive.directory(info.name, mode)
    elif info.issym():
        archive.symlink(info.name, info.linkname)
    elif info.isreg():
        archive.file(info.name, data, mode)


def tree() -> Iterator[tuple[str, bytes]]:
    """(path, contents) of each file of guestdbg except the compiled processor."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file() and "__pycache__" not in path.parts:
            yield f"guestdbg/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()


def package(root: Path, compiler: Compiler) -> Path:
    """The archive that follows the base: guestdbg as it is now, the agent, and the commands.

    It comes from the cache ``root`` if nothing has changed since the last time.
    """
    files = dict(tree()) | _metadata()
    state = hashlib.sha256(f"{compiler.python} {bool(compiler.command)}".encode())
    for name, data in files.items():
        state.update(f"{name} {len(data)}\n".encode() + data)

    def build(to: Path) -> None:
        (to / "package.cpio").write_bytes(_package_archive(files, compiler))

    with cache.locked(root):
        return cache.entry(root, f"package-{state.hexdigest()[:16]}", build) / "package.cpio"


def _metadata() -> dict[str, bytes]:
    """What `guestdbg --version` in the lab reads, if this guestdbg has a version."""
    try:
        version = metadata.version("guestdbg")
    except metadata.PackageNotFoundError:
        return {}
    text = f"Metadata-Version: 2.1\nName: guestdbg\nVersion: {version}\n"
    return {f"guestdbg-{version}.dist-info/METADATA": text.encode()}


def _package_archive(files: dict[str, bytes], compiler: Compiler) -> bytes:
    archive = _PythonCpio(compiler)
    for name, data in files.items():
        archive.file(f"{SITE}/{name}", data)
        if name.startswith("guestdbg/lab/inside/"):
            archive.file(f"lab/inside/{name.rpartition('/')[2]}", data)
    archive.file("init", _INIT, 0o755)
    archive.file("usr/local/bin/guestdbg", _SCRIPT, 0o755)
    archive.file(f"usr/lib/python{compiler.python}/sitecustomize.py", _SITECUSTOMIZE)
    return archive.finish()
