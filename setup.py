"""Builds the processor; everything else about the package is in pyproject.toml.

Environment:
    GUESTDBG_DISPATCH=threaded|loop   how one instruction's function reaches the next (default
                                      threaded; loop is for builds where the compiler cannot
                                      make jumps of tail calls: sanitizers, coverage, -O0)
    GUESTDBG_SANITIZE=address,undefined   build the processor under these sanitizers
    GUESTDBG_STENCILS=0   build no stencils: the processor interprets only (cpu/translation.pyx)
    GUESTDBG_PREBUILT=1   compile nothing: an editable install of a tree in which the processor has
                          been built already (tools/setup-venv; pip would compile it all anew)
    GUESTDBG_REQUIRE_CPU=1            fail where the processor cannot be compiled, instead of
                                      installing without the software provider
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
CPU = Path("src/guestdbg/cpu")
# Loops over the elements of a vector become the host's vector instructions.
VECTORIZE = ["-O3"]
# Elsewhere two stores side by side, as of flags, are cheaper than one of a vector made of both.
SCALAR = ["-fno-tree-slp-vectorize"]
COMPILE = [
    *("-O2", "-fno-strict-aliasing", "-fno-stack-protector", "-Wno-unused-function"),
    # Each operation rounds: a product and a sum must not become one fused operation.
    "-ffp-contract=off",
    # An instruction's ways to its end stay apart, and what is inline is in it: as a call, it would
    # not end in a jump (tests/cpu/test_dispatch.py).
    *("-fno-crossjumping", "-fno-tree-tail-merge"),
]
REQUIRED = bool(os.environ.get("GUESTDBG_REQUIRE_CPU"))
HEADERS = [CPU / "dispatch.h", CPU / "block_memory.h", *sorted(CPU.glob("operands*.h"))]
# Of translation.pyx, which uses stencils, and of modules that have some.
STENCIL_HEADERS = sorted(CPU.glob("stencil_*.h"))
TABLE = CPU / "stencil_table.h"
# What makes stencils is a part of guestdbg, which cannot be imported yet.
sys.path.insert(0, str(HERE / CPU))

from stencils.build import NoStencils, compiler_for, with_stencils  # noqa: E402

sys.path.remove(str(HERE / CPU))


class BuildProcessor(build_ext):
    """Compiles modules of instructions with their stencils, where these can be made."""

    def build_extension(self, ext: Extension) -> None:
        (source,) = [Path(name) for name in ext.sources]
        if self.has_stencils(ext, source):
            try:
                compiler = compiler_for(self.compiler.compiler_so)
                folders = [*ext.include_dirs, *self.compiler.include_dirs]
                # Neither sanitizers nor the loop: stencils are always compiled in the same way, and
                # are entered from either dispatch.
                options = [*COMPILE, *SCALAR, *(f"-I{folder}" for folder in folders)]
                depends = [Path(name) for name in ext.depends]
                made, _ = with_stencils(compiler, source, options, [source, *depends])
                ext.sources = [str(made)]
            except NoStencils as why:
                print(f"{ext.name} has no stencils: {why}", file=sys.stderr)
        super().build_extension(ext)

    @staticmethod
    def has_stencils(ext: Extension, source: Path) -> bool:
        if os.environ.get("GUESTDBG_STENCILS") == "0":
            return False
        # The machine code of vectors is long: docs/performance.md.
        if "simd" in source.parts:
            return False
        return "instructions" in source.parts or source.stem == "link_stencils"


def headers(source: Path) -> list[Path]:
    """What a module includes. Cython copies these beside its C source."""
    return HEADERS + (STENCIL_HEADERS if source.stem == "translation" else [TABLE])


def extensions() -> list[Extension]:
    if os.environ.get("GUESTDBG_PREBUILT"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if REQUIRED:
            raise
        return []
    dispatch = os.environ.get("GUESTDBG_DISPATCH", "threaded")
    if dispatch not in ("threaded", "loop"):
        raise SystemExit(f"GUESTDBG_DISPATCH={dispatch!r}: must be 'threaded' or 'loop'")
    sanitize = os.environ.get("GUESTDBG_SANITIZE", "")
    macros = [("GUESTDBG_LOOP", "1")] if dispatch == "loop" or sanitize else []
    compile_args = COMPILE
    if not sanitize:
        macros.append(("CYTHON_INLINE", "inline __attribute__((always_inline))"))
    link_args: list[str] = []
    if sanitize:
        macros.append(("GUESTDBG_ARENA", str(1 << 18)))
        macros.append(("GUESTDBG_CODE_SIZE", str(640 << 10)))
        compile_args = ["-O1", "-g1", "-fno-strict-aliasing", "-fno-omit-frame-pointer"]
        compile_args += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=undefined"]
        link_args += [f"-fsanitize={sanitize}"]
    sources = sorted(path.relative_to(HERE) for path in (HERE / CPU).rglob("*.pyx"))
    modules = cythonize(
        [
            Extension(
                ".".join(source.relative_to("src").with_suffix("").parts),
                [str(source)],
                include_dirs=[str(CPU)],
                define_macros=macros,
                extra_compile_args=compile_args + (VECTORIZE if "simd" in source.parts else SCALAR),
                extra_link_args=link_args,
                depends=[str(header) for header in headers(source)],
            )
            for source in sources
        ],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": 3},
    )
    for module in modules:
        # Set here, because cythonize() makes new extensions that do not keep it.
        module.optional = not REQUIRED
    return modules


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildProcessor})
