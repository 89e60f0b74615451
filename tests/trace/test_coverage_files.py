"""The files of coverage, read by tools that others wrote, or strictly by their description."""

from __future__ import annotations

import json
import re
import resource
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

import guestdbg
from guestdbg.trace import CoverageError, CoverageResult
from tests.machine.guests import EXAMPLES

GENHTML = shutil.which("genhtml")
QUEUE = EXAMPLES / "queue.elf"
RAM = 0x4000_0000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CoverageResult]:
    """A directory with queue.info, queue.drcov and queue.json; and what they were made of."""
    directory = tmp_path_factory.mktemp("coverage")
    with guestdbg.load(QUEUE, console=None, provider="soft") as guest:
        with guest.coverage(edges=True) as coverage:
            guest.run()
        for ending in ("info", "drcov", "json"):
            coverage.save(directory / f"queue.{ending}")
        return directory, coverage.result()


@pytest.mark.skipif(GENHTML is None, reason="genhtml is missing: tools/setup-tests installs lcov")
def test_genhtml_makes_pages_of_an_lcov_file(files: tuple[Path, CoverageResult]) -> None:
    directory, result = files
    html = directory / "html"
    done = subprocess.run(
        ["genhtml", "--output-directory", str(html), str(directory / "queue.info")],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.lines()
    ran = sum(line.count > 0 for line in lines)
    functions = result.functions()
    called = sum(function.executed > 0 for function in functions)
    assert f"({ran} of {len(lines)} lines)" in done.stdout
    assert f"({called} of {len(functions)} functions)" in done.stdout
    (page,) = html.rglob("queue.c.gcov.html")
    text = re.sub(r"<[^>]*>", "", page.read_text())
    push = next(f for f in functions if f.name == "queue_push")
    assert re.search(rf"^ *{push.line} +{push.count} : ", text, re.MULTILINE)
    (page,) = html.rglob("queue.c.func.html")
    text = re.sub(r"<[^>]*>", "", page.read_text())
    assert re.search(r"queue_push\s+20000\s", text)


def read_drcov(data: bytes) -> tuple[list[tuple[int, int, str]], list[tuple[int, int, int]]]:
    """(base, end, path) of the modules, and (start, size, module) of the blocks.

    By DynamoRIO's description of the format (drcov version 2, module table version 2 of Linux).
    """
    head, rest = data.split(b"\nBB Table: ", 1)
    count_text, table = rest.split(b" bbs\n", 1)
    lines = head.decode().split("\n")
    assert lines[0] == "DRCOV VERSION: 2"
    assert lines[1].startswith("DRCOV FLAVOR: ")
    header = re.fullmatch(r"Module Table: version 2, count (\d+)", lines[2])
    assert header is not None
    assert lines[3] == "Columns: id, base, end, entry, path"
    modules = []
    for number, line in enumerate(lines[4:]):
        fields = line.split(", ")
        assert len(fields) == 5
        assert int(fields[0]) == number
        base, end, _ = (int(field, 16) for field in fields[1:4])
        assert base < end
        modules.append((base, end, fields[4]))
    assert len(modules) == int(header[1])
    assert len(table) == 8 * int(count_text)
    blocks = list(struct.iter_unpack("<IHH", table))
    for start, size, module in blocks:
        base, end, _ = modules[module]
        assert base + start + size <= end
    return modules, blocks


def covered_by(modules: list[tuple[int, int, str]], blocks: list[tuple[int, int, int]]) -> set[int]:
    return {
        address
        for start, size, module in blocks
        for address in range(modules[module][0] + start, modules[module][0] + start + size, 4)
    }


def test_a_drcov_file(files: tuple[Path, CoverageResult]) -> None:
    directory, result = files
    modules, blocks = read_drcov((directory / "queue.drcov").read_bytes())
    assert [Path(path).name for _, _, path in modules] == ["queue.elf"]
    assert covered_by(modules, blocks) == result.instructions().counts().keys()
    assert len(set(blocks)) == len(blocks)
    # A block ends after each branch.
    ends = {modules[m][0] + start + size for start, size, m in blocks}
    assert {source + 4 for source, _ in result.edges()} <= ends


def test_a_drcov_file_of_code_without_a_file(tmp_path: Path) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(bytes.fromhex("000080d200000014"))  # mov x0, #0; b .
    with guestdbg.load(image, kind="raw", address=RAM, console=None, provider="soft") as guest:
        with guest.coverage() as coverage:
            guest.run(max_instructions=5)
        coverage.save(tmp_path / "x.drcov")
        pc = guest.cpu.pc
        assert coverage.result().lines() == []
        assert not coverage.result().has_lines
        coverage.save(tmp_path / "x.info")
    modules, blocks = read_drcov((tmp_path / "x.drcov").read_bytes())
    assert covered_by(modules, blocks) == {pc - 4, pc}
    assert all(path.startswith("memory-0x") for *_, path in modules)
    assert (tmp_path / "x.info").read_bytes() == b""


def test_a_json_file(files: tuple[Path, CoverageResult]) -> None:
    directory, result = files
    document = json.loads((directory / "queue.json").read_text())
    assert (document["format"], document["version"]) == ("guestdbg coverage", 1)
    assert (document["form"], document["complete"]) == ("edges", True)
    (vcpu,) = document["vcpus"]
    assert (vcpu["vcpu"], vcpu["el"]) == (0, 1)
    counts = {
        int(start, 16) + 4 * n: count
        for start, many, count in vcpu["instructions"]
        for n in range(many)
    }
    assert counts == result.instructions().counts()
    edges = {(int(a, 16), int(b, 16)): count for a, b, count in vcpu["edges"]}
    assert edges == result.edges()
    assert document["lines"]["queue/queue.c"] == {
        str(line.line): line.count for line in result.lines() if line.file == "queue/queue.c"
    }
    functions = {f["name"]: f for f in document["functions"]}
    assert functions["queue_push"]["count"] == 20000
    assert functions["queue_push"]["address"] == "0x40201634"


def test_names_that_cannot_be_written(files: tuple[Path, CoverageResult], tmp_path: Path) -> None:
    _, result = files
    for name, why in (
        ("x.txt", "ends in .info (lcov, genhtml), .drcov (Lighthouse and the like) or .json"),
        ("x", "ends in .info"),
        ("nowhere/x.info", "No such file or directory"),
        ("x\0.info", "null"),
        ("directory.info", "not a regular file"),
    ):
        (tmp_path / "directory.info").mkdir(exist_ok=True)
        with pytest.raises(CoverageError, match=re.escape(why)):
            result.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["directory.info"]


def test_an_old_file_stays_if_the_new_one_cannot_be_written_whole(
    files: tuple[Path, CoverageResult], tmp_path: Path
) -> None:
    """A limit of the process is used in place of a full disk."""
    _, result = files
    path = tmp_path / "x.json"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CoverageError, match="File too large"):
            result.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    result.save(path)
    assert json.loads(path.read_text())["form"] == "edges"


def test_a_symbolic_link_stays_one(files: tuple[Path, CoverageResult], tmp_path: Path) -> None:
    _, result = files
    (tmp_path / "there").mkdir()
    (tmp_path / "link.info").symlink_to(tmp_path / "there" / "x.info")
    result.save(tmp_path / "link.info")
    assert (tmp_path / "link.info").is_symlink()
    assert (tmp_path / "there" / "x.info").read_text().startswith("TN:\nSF:")
