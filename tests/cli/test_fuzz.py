"""`guestdbg fuzz` as people use it: without AFL++."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz.packets import CRASHES, MAGIC, PLAIN, record

from .guests import guestdbg

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

TARGET = ("fuzz", "examples/packet.elf", "--at", "parse", "--input", "buffer,length")


def put(directory: Path, name: str, data: bytes) -> str:
    path = directory / name
    path.write_bytes(data)
    return str(path)


def test_trying_a_target() -> None:
    done = guestdbg(*TARGET, "--crash", "negate if x0 == 1")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"Inputs have up to 512 bytes, at 0x40202[0-9a-f]{3}. The empty one:\n"
        r"  end: the function has returned\n"
        r"  [0-9,]+ executions a second\n"
        r"AFL\+\+ starts this target; IN is a directory with one input or more:\n"
        r"  afl-fuzz -U -i IN -o OUT -- guestdbg fuzz examples/packet.elf --at parse "
        r"--input buffer,length --crash 'negate if x0 == 1'\n",
        done.stdout,
    ), done.stdout


def test_replays(tmp_path: Path) -> None:
    plain, long, crash, point = (
        f"--replay={put(tmp_path, name, data)}"
        for name, data in {
            "plain": PLAIN,
            "long": MAGIC.ljust(600),
            "crash": CRASHES,
            "point": MAGIC + record("n", b"a") + record("o", b"b"),
        }.items()
    )
    for inputs, status, texts in (
        ((plain, long), 0, ("the function has returned", "600 bytes\n  the first 512 of them\n")),
        ((crash, point), 1, ("in option+0x44 (packet.c:89)\n", "(SIGTRAP): vCPU 0: negate")),
        ((crash, plain, "--max-instructions=100"), 124, ("(SIGXCPU): after 100 instructions",)),
    ):
        done = guestdbg(*TARGET, "--crash", "negate", *inputs)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert all(text in done.stderr for text in texts), done.stderr
        assert len(re.findall(r"^  [0-9]+ edges, [0-9]+ instructions$", done.stderr, re.M)) == 2


def test_what_the_guest_prints_is_shown_in_a_replay(tmp_path: Path) -> None:
    path = put(tmp_path, "plain", PLAIN)
    done = guestdbg(*TARGET, "--until", "power_off", "--replay", path)
    assert (done.returncode, done.stdout) == (0, "outcome: 0\npacket of ab: 17\n"), done.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--at", "nowhere"), "there is no symbol named 'nowhere'"),
        (("--input", "buffer,nothing"), "there is no symbol named 'nothing'"),
        (("--input", "x0,x1"), "give --max-length"),
        (("--at", "negate if x0 == 1"), "did not come to negate if x0 == 1: exit at power_off"),
        (("--until", "nowhere"), "there is no symbol named 'nowhere'"),
        (("--crash-watch", "buffer:x"), "access 'x' must be r, w or rw"),
        (("--history",), "the guest has a history"),
        (("--max-instructions", "0"), "a run has 1 at least"),
        (("--replay", "/dev/zero"), "a character device, not a regular file"),
    ],
)
def test_mistakes(more: tuple[str, ...], message: str) -> None:
    done = guestdbg(*TARGET, *more)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
