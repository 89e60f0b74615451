"""Damaged and expensive files: success, or an error with the file's name and the cause.

The cases are those of tools/fuzz.py, by their seeds. A failing one is reported with its seed, and
reduced: `python tools/fuzz.py --plain --replay files:SEED`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from guestdbg.debugger import BadImage, Image
from guestdbg.debugger.program import drgn_program, dwarf_entries, image, line_table
from tests.gdb.test_fuzz import environment

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402
import fuzz_dwarf_damage  # noqa: E402
import fuzz_file_cases  # noqa: E402
import fuzz_files  # noqa: E402
import fuzz_limits  # noqa: E402
from fuzz_case import Failure  # noqa: E402
from fuzz_elf import Elf  # noqa: E402

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytest.importorskip("drgn", reason="drgn is not installed")

SEED = int(os.environ.get("GUESTDBG_FUZZ_SEED", "20261129"))
CASES = 2000

#: What has to be done at least so often: each thing that a user does, with success and without.
COVERED = {
    "symbols: done": 300, "symbols: refused": 100, "locate: done": 3000, "lines: done": 60,
    "lines: refused": 60, "types: done": 300, "types: refused": 500, "value: done": 150,
    "watch: done": 100, "watch: refused": 300, "record: refused": 30, "break: done": 150,
    "break: refused": 200, "run: done": 400, "hits": 150, "locals: done": 60,
    "locals: refused": 2000, "backtrace: done": 800, "step: done": 500, "add_symbols: done": 200,
    "load: done": 800, "load: refused": 300, "reported as damaged": 80, "shape: compiled": 500,
    "shape: separate": 60, "shape: supplementary": 20, "shape: raw": 30, "shape: image": 10,
    "shape: packed": 30, "shape: records": 10, "shape: uimage": 10,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_files() -> None:
    outcome = fuzz.run(environment(), "files", SEED, CASES, os.cpu_count() or 1)
    assert not outcome.failures, outcome.output
    assert outcome.cases == CASES
    did = outcome.did
    assert {what: did[what] for what, least in COVERED.items() if did[what] < least} == {}
    for pathology in fuzz_dwarf_damage.PATHOLOGIES:
        assert did[f"shape: made: {pathology}"] >= 15, pathology
    for how in ("zlib", "zstd", "gnu"):
        assert did[f"shape: compressed: {how}"] >= 15, how
    for place in (
        *("ELF header", "program headers", "section headers", ".symtab", ".strtab", ".eh_frame"),
        *(".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_frame"),
        *(".debug_loc", ".debug_loclists", ".debug_ranges", ".debug_rnglists", ".debug_aranges"),
        *(".debug_str_offsets", ".debug_addr", ".debug_line_str", "file"),
    ):
        assert did[f"changed: {place}"] >= 15, place


def test_what_is_made_is_valid_where_nothing_is_wrong(tmp_path: Path) -> None:
    """Otherwise the cases would end at the first check."""
    path = tmp_path / "guest.elf"
    for seed in range(20):
        rng = fuzz_file_cases.random.Random(seed)
        name = rng.choice(fuzz_file_cases.NAMES)
        elf = Elf.parse((fuzz_file_cases.GUESTS / f"{name}.elf").read_bytes())
        symbols = elf.symbols()
        program = fuzz_dwarf_damage.program(rng, symbols, "none")
        elf = elf.without_debug_info()
        for section, contents in program.make().items():
            elf.put(section, contents)
        if program.writer.longest_number:
            continue  # longer numbers than some readers take
        path.write_bytes(elf.build())
        found = Image(path)
        entries = {block.entry for block in found.scopes.named("act")}
        assert entries == {symbols["act"][0]}, seed
        assert len(found.scopes.named("scaled")) == 3, seed
        assert found.lines.files == ["made.c"], seed
        assert not found.lines.damage, seed


@pytest.fixture(autouse=True)
def in_a_directory_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases of this process; the others have one from their parent."""
    directory = tmp_path / "cases"
    directory.mkdir()
    monkeypatch.setattr(fuzz_files, "_directory", lambda: directory)


# ---- defects that it must find ----------------------------------------------------------------


def several(count: int = 600, shape: str = "") -> None:
    """Cases until one fails, which is raised; only those of a shape, if one is given."""
    for seed in range(count):
        if not shape or fuzz_file_cases.shape(seed).startswith(shape):
            fuzz_files.run(seed, Counter())


def test_another_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: object, error: Exception) -> None:
        raise error

    monkeypatch.setattr(line_table.LineTable, "_damaged", careless)
    with pytest.raises(Failure, match=r"\w+(Error|Exception): .*changes \["):
        several()


def test_a_message_without_the_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        drgn_program, "translated", lambda cause, what, program: BadImage(f"damaged: {cause}")
    )
    with pytest.raises(Failure, match="does not name the file"):
        several()


def test_a_ring_that_is_followed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyelftools' own iteration does with DW_AT_sibling."""
    monkeypatch.setattr(fuzz_files, "SECONDS", 0.5)
    monkeypatch.setattr(dwarf_entries, "children", lambda die, seen: die.iter_children())
    with pytest.raises(Failure, match="not finished after"):
        several(4000, "made: rings")


def test_memory_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes, path: object) -> bytes:
        assert b"x" * (100 << 20)
        return data

    monkeypatch.setattr(fuzz_files, "MEMORY", 50 << 20)
    monkeypatch.setattr(image, "with_plain_sections", careless)
    with pytest.raises(Failure, match="the limit is 50 MiB"):
        several(20)


def test_memory_that_is_exhausted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(image.elf_bounds, "check_file", careless)
    with pytest.raises(Failure, match="memory is exhausted"):
        several(20)


def test_a_process_that_dies_is_found(tmp_path: Path) -> None:
    """As it does when a library crashes: here the kernel kills it after four seconds of work."""
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (4, 4))\n"
    )
    where = environment()
    where["PYTHONPATH"] = os.pathsep.join((str(tmp_path), where["PYTHONPATH"]))
    outcome = fuzz.run(where, "files", 0, 500)
    assert outcome.failures
    assert "was killed by SIG" in outcome.output


def test_the_limits_are_those_of_the_work_alone() -> None:
    kept = b"x" * (50 << 20)
    # Free memory of the heap, which the next large allocation gets: it is resident already.
    pieces = [b"x" * (60 << 10) for _ in range(2200)]
    last = b"y" * (60 << 10)
    del pieces
    with fuzz_limits.limited(5, 20 << 20):
        assert kept.endswith(b"x")
    with pytest.raises(Failure, match="it took"), fuzz_limits.limited(5, 20 << 20):
        assert kept + kept
    assert last
    with pytest.raises(Failure, match=r"not finished after 0\.1 s"), fuzz_limits.limited(0.1, 1):
        for _ in iter(int, 1):  # without an end
            pass
