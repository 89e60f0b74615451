"""Split DWARF (gcc -gsplit-dwarf): with its .dwo files, and when they are gone."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from guestdbg.debugger import NoDebugInfo, UnknownSymbol, load

from .compiled import compiled, needs_gcc

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

SOURCE = """\
struct item { int id; long worth[3]; };
struct item items[2];
volatile int depth = -77;
__attribute__((noinline)) int dive(int depth)
{
	items[1].id = depth;
	asm volatile("" ::: "memory");
	return depth + 1;
}
int main(void)
{
	return dive(3);
}
"""


@pytest.fixture(params=["-gdwarf-4", "-gdwarf-5"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    flags = ("-g", "-gsplit-dwarf", request.param)
    return compiled(tmp_path, {"split.c": SOURCE}, flags)


def test_types_are_read_from_the_dwo_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        assert int(guest["depth"]) == -77
        watch = guest.watch("items[1].id")
        hit = guest.run(timeout=60).hit
        assert hit is not None
        assert (hit.point, hit.new, hit.element) == (watch, 3, "items[1].id")
    assert "was not found" not in caplog.text


def test_a_dwo_file_that_is_gone_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for dwo in path.parent.glob("*.dwo"):
        dwo.unlink()
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(NoDebugInfo, match=r"'items' has no type.*split\.dwo was not found"):
            guest.watch("items[1].id")
        assert "Variables of the symbol table count as unsigned integers" in caplog.text
        assert int(guest["depth"]) == (1 << 32) - 77
        guest.break_("split.c:6")


def test_local_variables_are_said_not_to_be_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A condition may mean the parameter `depth`; it is the variable of the guest."""
    said = "has split DWARF, whose parameters and local variables are not read"
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with caplog.at_level(logging.WARNING):
            guest.break_("dive", when="depth == -77")
            assert caplog.text.count(said) == 1
            guest.watch("items[0].id", when="depth == 3")
            assert caplog.text.count(said) == 1  # once
        with pytest.raises(UnknownSymbol, match="no variable named 'by'"):
            guest.break_("dive", when="by == 3")


def test_nothing_is_said_without_split_units(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = compiled(tmp_path, {"split.c": SOURCE}, ("-g",))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        guest.break_("dive", when="depth == 3")
        guest.watch("items[0].id", when="depth == 3")
        assert not guest.images[0].split
    assert "split" not in caplog.text
