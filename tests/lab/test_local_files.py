"""Which files a command names, and where results may be written."""

from pathlib import Path

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.machine.local_files import in_the_way, named_files, write_results
from guestdbg.lab.machine.upload import read_upload


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.elf", "sub/b.elf", "odd,name@1"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "a.elf", "--count", "3"], ["a.elf"]),
        (["run", "./a.elf", "a.elf"], ["./a.elf"]),
        (["--symbols=sub/b.elf"], ["sub/b.elf"]),
        (["--load", "a.elf@0x40080000"], ["a.elf"]),
        (["odd,name@1"], ["odd,name@1"]),
        (["--initrd", "a.elf", "--drive", "sub/b.elf,overlay"], ["a.elf", "sub/b.elf"]),
        (["--initrd=a.elf", "--drive=sub/b.elf,readonly,overlay"], ["a.elf", "sub/b.elf"]),
        (["sub", ".", "", "no.elf", "a\0b", "x" * 5000], []),
        (["/bin/sh", "/etc/passwd", "/dev/null", "../../../../../../../../bin/sh"], []),
    ],
)
def test_which_words_are_files(here: Path, words: list[str], named: list[str]) -> None:
    assert named_files(words, here) == named


def test_an_absolute_path_and_one_outside(here: Path) -> None:
    assert named_files([str(here / "a.elf")], here) == [str(here / "a.elf")]
    assert named_files(["../a.elf"], here / "sub") == ["../a.elf"]


def test_where_files_go(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    found = {c.path: (c.mode, c.data) for c in read_upload(["sub", "./a.elf"], "/there")}
    assert {path: data for path, (_, data) in found.items()} == {
        "/there/sub/b.elf": b"sub/b.elf",
        "/there/a.elf": b"a.elf",
    }
    (here / "a.elf").chmod(0o755)
    (one,) = read_upload({"/x/y": here / "a.elf"}, "/there")
    assert (one.path, one.mode, one.data) == ("/x/y", 0o755, b"a.elf")
    (one,) = read_upload({"z": b"bytes"}, "/there")
    assert (one.path, one.data) == ("/there/z", b"bytes")


@pytest.mark.parametrize("name", ["missing", "/dev/null"])
def test_what_cannot_be_carried(here: Path, name: str) -> None:
    with pytest.raises(LabError, match=name):
        list(read_upload({"x": here / name}, "/there"))


def test_results_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    files = {"a.json": b"A", "deep/b.json": b"B"}
    assert write_results(files, ["*.json", "other"], tmp_path).missing == ["other"]
    assert (tmp_path / "deep" / "b.json").read_bytes() == b"B"


@pytest.mark.parametrize("name", ["../x", "x/../../y.json", "/tmp/x.json", "other.txt"])
def test_the_lab_does_not_choose_where_to_write(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="not requested"):
        write_results({name: b""}, ["x/*.json", "a*"], tmp_path / "in")
    assert list(tmp_path.rglob("*")) == []


def test_a_star_does_not_match_the_root(tmp_path: Path) -> None:
    """In fnmatch it does: "*.json" matches "/etc/x.json"."""
    outside, here = tmp_path / "out.json", tmp_path / "in"
    with pytest.raises(LabError, match="not requested"):
        write_results({str(outside): b"x"}, ["*.json"], here)
    assert not outside.exists()
    assert write_results({str(outside): b"x"}, [f"{tmp_path}/*.json"], here).missing == []
    assert outside.read_bytes() == b"x"


def test_a_file_that_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    for name in ("a.json", "a.json.1"):
        (tmp_path / name).write_bytes(b"mine")
    assert in_the_way(["*.json", "none", "a.json.1"], tmp_path) == ["a.json", "a.json.1"]
    written = write_results({"a.json": b"A", "b.json": b"B"}, ["*.json"], tmp_path)
    assert (written.missing, written.renamed) == ([], {"a.json": "a.json.2"})
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {
        "a.json": b"mine",
        "a.json.1": b"mine",
        "a.json.2": b"A",
        "b.json": b"B",
    }
    written = write_results({"a.json": b"C"}, ["*.json"], tmp_path, overwrite=True)
    assert written.renamed == {}
    assert (tmp_path / "a.json").read_bytes() == b"C"
