"""Build a program with picolibc, and run it on guestdbg and on QEMU."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

import guestdbg
from tests.programs.catalogue import SUITE, Program

GUEST = Path(__file__).parent / "guest"
PICOLIBC = Path("/usr/lib/picolibc/aarch64-linux-gnu")
GCC = "aarch64-linux-gnu-gcc"
QEMU = "qemu-system-aarch64"

_COMPILERS = {
    ("gcc", ".c"): (GCC, "-mno-outline-atomics"),
    ("gcc", ".cpp"): ("aarch64-linux-gnu-g++", "-mno-outline-atomics"),
    ("clang", ".c"): ("clang", "--target=aarch64-linux-gnu"),
    ("clang", ".cpp"): ("clang++", "--target=aarch64-linux-gnu"),
}
# picolibc's errno is a thread-local variable, and there is no dynamic linker.
_FLAGS = ("-g", "-Wall", "-Werror", "-ftls-model=local-exec", "-fno-pic", "-fno-pie")
_CPP_FLAGS = ("-fno-threadsafe-statics",)
_C_FLAGS = ("-fno-exceptions", "-fno-asynchronous-unwind-tables")
_LINK_FLAGS = (
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
    "-T",
    str(GUEST / "guest.ld"),
)
_LIBRARIES = ("-lsupc++", "-lgcc_eh", "-lm", "-lc", "-lgcc")


def _needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stderr}"


def _compile(compiler: str, source: Path, object_: Path, *flags: str) -> None:
    command, *own = _COMPILERS[compiler, source.suffix]
    language = _CPP_FLAGS if source.suffix == ".cpp" else _C_FLAGS
    include = ("-isystem", str(PICOLIBC / "include"), f"-I{GUEST}", f"-I{SUITE}")
    _run(
        _needs(command), *own, *_FLAGS, *language, *include, *flags,
        "-c", "-o", str(object_), str(source),
    )  # fmt: skip


def build(program: Program, directory: Path) -> Path:
    """The ELF file of a program. Skips the test if a compiler or picolibc is not installed."""
    if not PICOLIBC.is_dir():
        pytest.skip(f"no {PICOLIBC}: install Debian's picolibc-aarch64-linux-gnu")
    linker = _needs(GCC)
    source = GUEST / program.source  # an absolute path stays what it is
    sources = [source, GUEST / "guest.c"]
    if source.parent != GUEST:
        sources.append(GUEST / "suite.c")
    objects = [directory / f"{path.stem}-{n}.o" for n, path in enumerate(sources)]
    for path, object_ in zip(sources, objects, strict=True):
        flags = program.flags if path == source else ("-O2",)
        _compile(program.compiler, path, object_, *flags)
    elf = directory / "program.elf"
    _run(
        linker, *_LINK_FLAGS, "-o", str(elf), str(GUEST / "start.S"), *map(str, objects),
        f"-L{PICOLIBC / 'lib'}", "-Wl,--start-group", *_LIBRARIES, "-Wl,--end-group",
    )  # fmt: skip
    return elf


def run_here(elf: Path) -> tuple[str, int | None]:
    """The output and the exit status of a program on guestdbg."""
    console = io.BytesIO()
    with guestdbg.load(elf, provider="soft", console=console, semihosting=True) as guest:
        stop = guest.run(timeout=100)
        assert stop.reason == "exit", f"{stop}: {console.getvalue()[-200:]!r}"
        return console.getvalue().decode(), stop.status


def run_on_qemu(elf: Path, cpu: str) -> tuple[str, int | None]:
    """The same on QEMU. Skips the test if it is not installed."""
    board = ["-M", "virt", "-cpu", cpu, "-m", "128M", "-nographic", "-net", "none"]
    quiet = ["-monitor", "none", "-serial", "none"]
    result = subprocess.run(
        [_needs(QEMU), *board, *quiet, "-semihosting-config", "enable=on,target=native"]
        + ["-kernel", str(elf)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
    )
    return result.stdout.decode(), result.returncode
