"""Every test of the processor runs on both tiers: blocks are never translated, always, at random.

A test is run twice, for two values of the fixture `tier`: on the interpreter, and on stencils.
There the blocks of one half of the modules are always translated, and those of the other half at
random; GUESTDBG_TIER_SEED says which are which. It is otherwise for these modules:

- SPLIT: long tests with many processors, which are in turn of each kind. What the test compares
  with each other was therefore executed in different ways.
- WITHIN: they use each tier themselves.
- ONCE: no block is translated in them.

A threshold at random follows from the name of the module and GUESTDBG_TIER_SEED, which the text of
a failure has. With GUESTDBG_TIER set, all tests run once, with that tier. Where there are no
stencils (`guestdbg caps` says why), tests run once.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterator

import pytest

try:
    from guestdbg.cpu import processor as _processor  # noqa: F401
    from guestdbg.cpu import tier as tiers
    from tests.cpu.tiers import ALWAYS, MIXED, NEVER, RANDOM, SEED, use
except ImportError:  # the processor is not compiled here
    tiers = None  # type: ignore[assignment]

SPLIT = {"test_determinism", "test_determinism_examples", "test_coverage", "test_snapshots"}
WITHIN = {
    "test_hostile",  # tools/fuzz_worker.py, by the seed of the case
    "test_scale_branches",  # scale_machines.py, with each batch
    "test_scale_data",
    "test_scale_memory",
    "test_scale_simd",
    "test_scale_system",
    "test_stencils",
    "test_tiers_in_lockstep",
}
ONCE = {
    # They look at the sources, the compiled modules or the decode table.
    "test_compiled_modules",
    "test_dispatch",
    "test_exception_classes",
    "test_feature_encodings",
    "test_operand_accessors",
    "test_scale_encodings",
    "test_stencil_build",
    "test_stencil_host",
    # It says which tier the tests use that it executes.
    "test_aarch64",
    # Each instruction is executed as a single step.
    "test_data_oracle",
    "test_fp_arithmetic",
    "test_mem_oracle_integer",
    "test_mem_oracle_simd",
    "test_mem_oracle_space",
    "test_mem_oracle_structure",
    "test_mem_oracle_sync",
}


def there_are_stencils() -> bool:
    if tiers is None:
        return False
    before = tiers.chosen()
    why = use(ALWAYS)
    tiers.use_again(before)
    return why is None


def kinds(module: str) -> list[str]:
    """Those of a module's tests; none: as the environment says."""
    if os.environ.get("GUESTDBG_TIER") or not there_are_stencils():
        return []
    name = module.rpartition(".")[2]
    if name in SPLIT:
        return [MIXED]
    if name in WITHIN or name in ONCE:
        return [NEVER]
    half = (zlib.crc32(name.encode()) ^ SEED) & 1
    return [NEVER, ALWAYS if half else RANDOM]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = kinds(metafunc.module.__name__)
    if len(found) > 1:
        metafunc.parametrize("tier", found, indirect=True, scope="module")


@pytest.fixture(autouse=True, scope="module")
def tier(request: pytest.FixtureRequest) -> Iterator[str]:
    """How the processors execute that are made in this module's tests."""
    (*_, kind) = ["", *kinds(request.node.name.removesuffix(".py").replace("/", "."))]
    kind = getattr(request, "param", kind)
    if not kind:
        yield "as the environment says"
        return
    before = tiers.chosen()
    use(kind, request.node.name)
    yield kind
    tiers.use_again(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and tiers is not None:
        report.sections.append(("tier", f"{tiers.chosen()}, from GUESTDBG_TIER_SEED={SEED}"))
    return report
