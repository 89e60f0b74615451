"""Entries are built once and used again, damage is noticed, and two processes do not collide."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guestdbg.lab import LabError, cache


class Builder:
    """Builds an entry of two files, and counts how often it does."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, to: Path) -> None:
        self.times += 1
        (to / "one").write_bytes(b"1" * 1000)
        (to / "sub").mkdir()
        (to / "sub" / "two").write_bytes(b"22")


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    build = Builder()
    first = cache.entry(tmp_path, "thing", build)
    assert cache.entry(tmp_path, "thing", build) == first == tmp_path / "thing"
    assert build.times == 1
    assert (first / "sub" / "two").read_bytes() == b"22"


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: (d / "one").write_bytes(b"1" * 999),
        lambda d: (d / "one").write_bytes(b"1" * 999 + b"2"),
        lambda d: (d / "sub" / "two").unlink(),
        lambda d: (d / "manifest.json").unlink(),
        lambda d: (d / "manifest.json").write_text('{"one": "'),
        lambda d: (d / "manifest.json").write_text("[]"),
        lambda d: (d / "manifest.json").write_text("{}"),
        lambda d: (d / "manifest.json").write_text('["one"]'),
    ],
)
def test_a_damaged_entry_is_built_again(tmp_path: Path, damage: object) -> None:
    build = Builder()
    directory = cache.entry(tmp_path, "thing", build)
    assert callable(damage)
    damage(directory)
    assert cache.entry(tmp_path, "thing", build) == directory
    assert build.times == 2
    assert (directory / "one").read_bytes() == b"1" * 1000
    assert cache.is_complete(directory)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fails(to: Path) -> None:
        (to / "half").write_bytes(b"x")
        raise LabError("no network")

    with pytest.raises(LabError, match="no network"):
        cache.entry(tmp_path, "thing", fails)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    def fails(to: Path) -> None:
        (to / "half").write_bytes(b"x")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to / "half"))

    with pytest.raises(LabError, match=r"cache .*No space left on device"):
        cache.entry(tmp_path, "thing", fails)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "thing.part-abc").mkdir()
    (tmp_path / "thing.part-abc" / "half").write_bytes(b"x")
    cache.entry(tmp_path, "thing", Builder())
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_what_was_not_used_for_long_goes(tmp_path: Path) -> None:
    for name, days in (("old", 8), ("recent", 6)):
        cache.entry(tmp_path, name, Builder())
        then = time.time() - days * 24 * 3600
        os.utime(tmp_path / name, (then, then))
    cache.entry(tmp_path, "new", Builder())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "recent"]


RACER = """
import sys, time
from pathlib import Path
from guestdbg.lab import cache

def build(to):
    print("building", flush=True)
    time.sleep(0.3)
    (to / "file").write_bytes(b"x")

with cache.locked(Path(sys.argv[1])):
    assert (cache.entry(Path(sys.argv[1]), "thing", build) / "file").read_bytes() == b"x"
"""


def test_two_processes_build_one_entry(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sorted(outputs) == [b"", b"", b"building\n"]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    checkout = Path(__file__).parents[2]
    assert cache.default_root() == checkout / ".cache" / "lab"
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    assert cache.default_root() == tmp_path / "lab"
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "site" / "guestdbg" / "lab" / "cache.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_root() == tmp_path / "xdg" / "guestdbg" / "lab"


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(LabError, match=r"cannot be written.*GUESTDBG_CACHE"),
        cache.locked(tmp_path / "file" / "lab"),
    ):
        pass
