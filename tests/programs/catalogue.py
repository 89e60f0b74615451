"""The programs in `guest/`, and with which compilers and options each is built."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.programs import answers

SUITE = Path(__file__).parents[2] / "bench" / "suite"
SUITE_PROGRAMS = ("copy", "crc", "hash", "interpreter", "list", "matrix", "search", "sort")

#: The processor of QEMU for programs with instructions that Armv8.0-A does not have.
NEWER = "cortex-a76"
HALF = ("-march=armv8.2-a+fp16+dotprod", "-DHALF")
#: FRECPE and FRSQRTE with steps, instead of divisions and square roots.
ESTIMATES = ("-mlow-precision-recip-sqrt", "-mlow-precision-sqrt", "-mlow-precision-div")


@dataclass(frozen=True)
class Program:
    """One build of a program.

    `check` raises AssertionError if the output is not what another source than QEMU says.
    """

    name: str
    source: str | Path
    compiler: str
    flags: tuple[str, ...]
    cpu: str = "cortex-a57"
    check: Callable[[str], None] | None = None

    def __str__(self) -> str:
        return "-".join((self.name, self.compiler, *(flag.strip("-") for flag in self.flags)))


def _both(
    name: str,
    source: str | Path,
    *flags: str,
    cpu: str = "cortex-a57",
    check: Callable[[str], None] | None = None,
) -> Iterator[Program]:
    for compiler in ("gcc", "clang"):
        yield Program(name, source, compiler, flags, cpu, check)


def _programs() -> Iterator[Program]:
    for real in ("double", "float"):
        yield from _both("linpack", "linpack.c", "-O3", f"-DREAL={real}")
        yield from _both("fft", "fft.c", "-O3", f"-DREAL={real}")
        # Clang has no rounding modes for this target.
        exact = ("-O2", "-frounding-math", "-ffp-contract=off", f"-DREAL={real}")
        yield Program("paranoia", "paranoia.c", "gcc", exact)
    for size in ("64", "32"):
        yield Program("arithmetic", "arithmetic.c", "gcc", ("-O2", f"-DFORMAT={size}"))
    half = ("-O2", "-march=armv8.2-a+fp16", "-DFORMAT=16")
    yield Program("arithmetic", "arithmetic.c", "gcc", half, NEWER)
    yield from _both("libm", "libm.c", "-O2")
    yield from _both("printf", "printf.c", "-O2", check=answers.printf)
    yield from _both("crypto", "crypto.c", "-O2", "-march=armv8-a+crypto", check=answers.crypto)
    yield from _both("crc", "crc.c", "-O2", "-march=armv8-a+crc", check=answers.crc)
    # GCC takes nine seconds for these loops: one build for Armv8.0-A, one with everything else.
    yield from _both("vectors", "vectors.c", "-O3")
    yield Program("vectors", "vectors.c", "gcc", ("-O3", *HALF, "-ffast-math", *ESTIMATES), NEWER)
    yield Program("vectors", "vectors.c", "clang", ("-O3", *HALF), NEWER)
    yield Program("vectors", "vectors.c", "clang", ("-O3", "-ffast-math"))
    yield from _both("exceptions", "exceptions.cpp", "-O2")
    for name in SUITE_PROGRAMS:
        check = answers.suite(name)
        yield from _both(f"suite-{name}", SUITE / f"{name}.c", "-O3", check=check)
        newer = ("-O3", "-march=armv8.2-a+fp16+dotprod")
        yield Program(f"suite-{name}", SUITE / f"{name}.c", "gcc", newer, NEWER, check)


PROGRAMS = tuple(_programs())
