"""How long a backtrace is, why it ends, and how a recursion is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.debugger import Backtrace, Guest, InvalidLocation, StaleHit, load
from guestdbg.debugger.program.source_location import Location
from guestdbg.debugger.unwind.backtrace import Frame

from .compiled import compiled, needs_gcc

#: Two functions that call each other, 100 deep.
SOURCE = """\
volatile int deepest;
int odd(int depth);
__attribute__((noinline)) int even(int depth)
{
	deepest = depth;
	return depth == 100 ? 0 : odd(depth + 1) + 1;
}
__attribute__((noinline)) int odd(int depth)
{
	deepest = depth;
	return even(depth + 1) + 1;
}
int main(void) { return even(0); }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = ("-g", "-O1", "-fno-optimize-sibling-calls", "-fno-inline")
    return compiled(tmp_path_factory.mktemp("recursion"), {"deep.c": SOURCE}, flags)


def at_the_bottom(program: Path) -> Guest:
    guest = load(program, provider="soft", console=None, memory="16M")
    guest.watch("deepest", when="new == 100")
    assert guest.run(max_instructions=1_000_000).reason == "hit"
    return guest


@needs_gcc
def test_a_limit_is_kept_and_said(program: Path) -> None:
    with at_the_bottom(program) as guest:
        frames = guest.cpu.backtrace()
        assert len(frames) == 64
        assert frames.cut is not None
        assert "more frames follow" in frames.cut
        assert "64" in frames.cut
        whole = guest.cpu.backtrace(limit=1000)
        assert len(whole) == 103
        assert whole.cut is None
        assert guest.cpu.backtrace(103).cut is None, "exactly as many as there are"
        assert guest.cpu.backtrace(102).cut is not None


@needs_gcc
def test_a_hit_finds_more_when_asked_for_more(program: Path) -> None:
    with load(program, provider="soft", console=None, memory="16M") as guest:
        guest.watch("deepest", when="new == 100")
        hit = guest.run(max_instructions=1_000_000).hit
        assert hit is not None
        assert len(hit.backtrace(5)) == 5
        assert len(hit.backtrace(1000)) == 103
        assert len(hit.backtrace(4)) == 4
        for wrong in (0, -1):
            with pytest.raises(InvalidLocation, match="limit"):
                hit.backtrace(wrong)
        guest.run(max_instructions=1_000_000)
        assert len(hit.backtrace(1000)) == 103, "known from before"
        other = load(program, provider="soft", console=None, memory="16M")
        with other:
            other.break_("even")
            stale = other.run().hit
            assert stale is not None
            other.run()
            with pytest.raises(StaleHit):
                stale.backtrace()


@needs_gcc
def test_a_recursion_through_two_functions_is_shown_once(program: Path) -> None:
    with at_the_bottom(program) as guest:
        text = str(guest.cpu.backtrace(1000))
        assert len(text.splitlines()) < 10, text
        assert "the last 2 frames repeated" in text
        assert "main" in text


@needs_gcc
def test_a_damaged_stack_is_said(program: Path) -> None:
    with at_the_bottom(program) as guest:
        frames = guest.cpu.backtrace(10)
        assert frames[9].sp is not None
        for n in range(64):  # the saved registers of the outer frames
            guest.write(frames[5].sp + 8 * n, bytes([0xF1] * 8))  # type: ignore[operator]
        broken = guest.cpu.backtrace()
        assert len(broken) < 64
        assert broken.cut is not None
        assert "more frames" not in broken.cut


def test_runs_of_frames() -> None:
    def trace(names: str) -> list[tuple[str, int]]:
        frames = [Frame(n, ord(name), 0, Location(ord(name), name)) for n, name in enumerate(names)]
        return [
            ("".join(str(f.location.function) for f in run), times)
            for run, times in Backtrace(frames).runs()
        ]

    assert trace("") == []
    assert trace("abc") == [("a", 1), ("b", 1), ("c", 1)]
    assert trace("aab") == [("a", 1), ("a", 1), ("b", 1)], "twice is not worth a line"
    assert trace("xaaaay") == [("x", 1), ("a", 4), ("y", 1)]
    assert trace("abababc") == [("ab", 3), ("c", 1)]
    assert trace("abcabcabcabz") == [("abc", 3), ("a", 1), ("b", 1), ("z", 1)]
