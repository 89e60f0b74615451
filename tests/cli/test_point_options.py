"""--after, --follow-pointer, and what the summary says of points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.debugger.compiled import compiled, needs_gcc

from .guests import guestdbg

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

SOURCE = """\
struct item { struct item *next; int id; int worth[3]; };
struct item items[2] = { { &items[1] }, { &items[0] } };
struct item *volatile head;
volatile int never;
__attribute__((noinline)) void ready(void) { asm volatile(""); }
__attribute__((noinline)) void unused(int argument) { never = argument; }
void (*volatile keep)(int) = unused;
int main(void)
{
	items[0].id = 1;
	asm volatile("" ::: "memory");
	head = &items[0];
	ready();
	head->id = 2;
	asm volatile("" ::: "memory");
	head = &items[1];
	head->id = 3;
	asm volatile("" ::: "memory");
	items[1].worth[2] = 4;
	asm volatile("" ::: "memory");
	return 0;
}
"""


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(compiled(tmp_path_factory.mktemp("points"), {"points.c": SOURCE}))


def hits(stderr: str) -> list[str]:
    """What was written, and the values, of each hit line."""
    return [
        line.split("  in ")[0].split(" ", 2)[2] for line in stderr.splitlines() if line[0] == "#"
    ]


def test_a_null_pointer_says_what_to_do(guest: str) -> None:
    result = guestdbg("run", guest, "--watch", "head->id")
    assert result.returncode == 1
    assert "head is NULL now" in result.stderr
    assert "--after" in result.stderr
    assert "--follow-pointer" in result.stderr


def test_after(guest: str) -> None:
    result = guestdbg("run", guest, "--watch", "head->id", "--break", "ready", "--after", "ready")
    assert result.returncode == 0, result.stderr
    assert hits(result.stderr) == ["head->id  1 -> 2"]
    assert "break ready" in result.stderr


def test_after_what_is_never_reached(guest: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    result = guestdbg(
        *("run", guest, "--watch", "never", "--after", "unused if argument == 3", "--log", str(log))
    )
    assert result.returncode == 0
    assert "--after unused if argument == 3 was never reached: nothing else was set" in (
        result.stderr
    )
    end = json.loads(log.read_text().splitlines()[-1])
    assert (end["waiting"], end["points"]) == ("unused if argument == 3", [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--watch", "nevr"], "'nevr'"),
        (["--watch", "head->idd"], "'idd'"),
        (["--watch", "never if nevr == 3"], "'nevr'"),
        (["--break", "main if nevr == 3"], "'nevr'"),
        (["--break", "reddy"], "'reddy'"),
    ],
)
def test_a_typo_is_reported_before_the_guest_runs(
    guest: str, options: list[str], said: str
) -> None:
    result = guestdbg("run", guest, "--after", "ready", *options)
    assert (result.returncode, "powered off" in result.stderr) == (1, False)
    assert said in result.stderr
    result = guestdbg("run", guest, "--after", "reddy", "--watch", "never")
    assert (result.returncode, "'reddy'" in result.stderr) == (1, True)


def test_a_pointer_that_is_still_null(guest: str) -> None:
    result = guestdbg("run", guest, "--after", "main", "--watch", "head->id")
    assert result.returncode == 1
    assert "-- 'head->id': the pointer head is NULL now" in result.stderr


def test_follow_pointer(guest: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    options = ("--watch", "head->id", "--watch", "never", "--follow-pointer", "--log", str(log))
    result = guestdbg("run", guest, *options)
    assert result.returncode == 0, result.stderr
    assert hits(result.stderr) == ["head->id  1 -> 2", "head->id  0 -> 3"]
    assert "head->id: it moved 2 times with its pointers" in result.stderr
    assert "never: " not in result.stderr
    first, second, end = map(json.loads, log.read_text().splitlines())
    assert int(second["address"], 16) - int(first["address"], 16) == 24
    assert end["points"][0]["addresses"] == [second["address"]]


def test_what_is_no_variable_is_watched_beside_one_that_follows(guest: str) -> None:
    result = guestdbg(
        *("run", guest, "--watch", "head->id", "--watch", "items+8,4", "--watch", "0x40000000"),
        "--follow-pointer",
    )
    assert result.returncode == 0, result.stderr
    assert "head->id: it moved 2 times" in result.stderr


def test_it_is_nowhere_at_the_end(guest: str) -> None:
    result = guestdbg(
        *("run", guest, "--watch", "head->id", "--follow-pointer", "--max-instructions", "8")
    )
    assert "nowhere     4  watch head->id" in result.stderr
    assert "head->id: nothing could reach it at the end: head is NULL" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--after", "main"], "--after without --break or --watch"),
        (["--follow-pointer"], "no --watch through a pointer"),
        (["--follow-pointer", "--watch", "never"], "no --watch through a pointer"),
        (["--follow-pointer", "--watch", "items[0].id"], "no --watch through a pointer"),
        (["--follow-pointer", "--watch", "never,2"], "no --watch through a pointer"),
        (["--follow-pointer", "--watch", "nevr"], "'nevr'"),
        (["--after", "", "--watch", "never"], "--after '' names no place"),
    ],
)
def test_options_without_what_they_are_about(guest: str, options: list[str], said: str) -> None:
    result = guestdbg("run", guest, *options)
    assert result.returncode in (1, 2)
    assert said in " ".join(result.stderr.split())


def test_elements_are_named(guest: str, tmp_path: Path) -> None:
    """Of an array, of a structure, and of a plain address; with the element's own value."""
    log = tmp_path / "log.jsonl"
    result = guestdbg("run", guest, "--watch", "items", "--log", str(log))
    assert hits(result.stderr) == [
        "items[0].id  0 -> 1",
        "items[0].id  1 -> 2",
        "items[1].id  0 -> 3",
        "items[1].worth[2]  0 -> 4",
    ]
    found = [json.loads(line).get("element") for line in log.read_text().splitlines()]
    assert found == [*(hit.split("  ")[0] for hit in hits(result.stderr)), None]
    address = json.loads(log.read_text().splitlines()[2])["address"]
    result = guestdbg("run", guest, "--watch", f"{address},4")
    assert hits(result.stderr) == ["items[1].id  0 -> 3"]
    result = guestdbg("run", guest, "--watch", "items[1].worth[2]")
    assert hits(result.stderr) == ["items[1].worth[2]  0 -> 4"]


def test_the_summary_has_places_and_what_was_never_mapped(guest: str) -> None:
    result = guestdbg(
        *("run", guest, "--watch", "never", "--watch", "0x99990000,2", "--break", "0x88880000")
    )
    table = result.stderr[result.stderr.index("   hits") :].splitlines()
    assert table[0].split() == ["hits", "seen", "address", "size", "point"]
    rows = {line.split(maxsplit=5)[5]: line.split(maxsplit=5)[:4] for line in table[1:4]}
    assert rows["0x88880000"] == ["0", "0", "0x88880000", "4"]
    assert rows["0x99990000,2"] == ["0", "0", "0x99990000", "2"]
    assert rows["never"][3] == "4"
    for what in ("0x88880000", "0x99990000,2"):
        assert f"{what}: nothing could reach it at the end: this board has neither" in result.stderr
    assert "never: nothing" not in result.stderr


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--task", "sh"), 2, "--task without --break or --watch"),
        (("--exec", "main"), 2, "a path in the guest and a function, as /usr/bin/foo:main"),
        (("--exec", "/bin/sh:main if x0 >"), 1, "is not an expression"),
        (("--exec", "if x0 > 1"), 2, "a path in the guest and a function"),
        (("--exec", "/bin/sh:main", "--follow-fork", "all"), 2, "'all' is not one of"),
        (("--watch", "never", "--task", "sh"), 1, "Linux"),
        (("--exec", "/bin/sh:main"), 1, "Linux"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_tasks_of_what_is_no_linux(
    guest: str, options: tuple[str, ...], status: int, message: str
) -> None:
    result = guestdbg("run", guest, *options)
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr
