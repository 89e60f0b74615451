"""``guest.coverage()``: on and off, what it counts, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

import guestdbg
from guestdbg.debugger import GuestBusy
from guestdbg.trace import Block, CoverageError, CoverageUnavailable, Executed, Run
from tests.debugger.assembled import CODE, assembled
from tests.debugger.compiled import compiled, needs_gcc
from tests.machine.guests import EXAMPLES

QUEUE = EXAMPLES / "queue.elf"
OPTIONS = {"console": None, "provider": "soft", "memory": "16M"}


def test_it_is_on_until_it_is_stopped_and_goes_on_with_what_there_is() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        coverage = guest.coverage(counts=True)
        assert coverage.on
        guest.run(max_instructions=1000)
        assert coverage.result().instructions().total == 1000
        coverage.stop()
        coverage.stop()
        guest.run(max_instructions=500)
        assert coverage.result().instructions().total == 1000
        coverage.start()
        coverage.start()
        guest.run(max_instructions=10)
        assert coverage.result().instructions().total == 1010
        coverage.reset()
        assert len(coverage.result().instructions()) == 0
        guest.run(max_instructions=10)
        assert coverage.result().instructions().total == 10
        with coverage:
            guest.run(max_instructions=10)
        assert not coverage.on
        assert coverage.result().instructions().total == 20
        coverage.reset()
        assert coverage.result().vcpus == ()


def test_without_counts_everything_has_one() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        with guest.coverage() as coverage:
            guest.run(max_instructions=100_000)
        with coverage:
            guest.run(max_instructions=100_000)
        result = coverage.result()
        assert (result.form, result.counted, result.complete) == ("first", False, True)
        assert {run.count for run in result.instructions()} == {1}
        assert set(result.blocks().values()) == {1}
        assert {line.count for line in result.lines()} == {0, 1}
        assert {function.count for function in result.functions()} == {0, 1}
        assert not result.edges()


def test_vcpus_and_exception_levels() -> None:
    with guestdbg.load(EXAMPLES / "smp.elf", vcpus=3, **OPTIONS) as guest:
        with guest.coverage(counts=True) as coverage:
            guest.run()
        result = coverage.result()
        assert [(each.vcpu, each.el) for each in result.vcpus] == [(0, 1), (1, 1), (2, 1)]
        retired = [vcpu.instructions for vcpu in guest.board.vcpus]
        assert [result.instructions(vcpu=n).total for n in range(3)] == retired
        assert result.instructions().total == sum(retired)
    with guestdbg.load(EXAMPLES / "mmu.elf", **OPTIONS) as guest:
        with guest.coverage() as coverage:
            guest.run()
        result = coverage.result()
        assert [each.el for each in result.vcpus] == [0, 1]
        user = [f.name for f in result.functions(el=0) if f.executed]
        kernel = [f.name for f in result.functions(el=1) if f.executed]
        assert user
        assert not set(user) & set(kernel)
        assert len(result.instructions(el=0)) + len(result.instructions(el=1)) == len(
            result.instructions()
        )


def test_one_at_a_time() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        coverage = guest.coverage()
        with pytest.raises(CoverageError, match=r"another coverage of this guest is on: stop\(\)"):
            guest.coverage()
        coverage.stop()
        other = guest.coverage(edges=True)
        with pytest.raises(CoverageError, match="another coverage"):
            coverage.start()
        guest.run(max_instructions=50)
        assert other.result().instructions().total == 50
        assert len(coverage.result().instructions()) == 0
        assert repr(other) == "<Coverage edges: on>"


def test_a_running_guest() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        coverage = guest.coverage()
        tried = []

        @guest.break_("queue_push")
        def pushed(hit: object) -> object:
            for call in (coverage.stop, coverage.reset, coverage.result, coverage.start):
                with pytest.raises(GuestBusy, match=r"coverage is .* a stopped guest"):
                    call()
                tried.append(call)
            return guestdbg.STOP

        guest.run()
        assert len(tried) == 4


def test_a_provider_without_it() -> None:
    with (
        assembled([0x14000000], plain=True) as guest,
        pytest.raises(CoverageUnavailable, match="coverage needs the software provider"),
    ):
        guest.coverage()


def test_a_guest_that_was_closed_first() -> None:
    guest = guestdbg.load(QUEUE, **OPTIONS)
    coverage = guest.coverage()
    guest.run(max_instructions=100)
    guest.close()
    with pytest.raises(CoverageError, match=r"before guest.close\(\)"):
        coverage.stop()
    assert not coverage.on


@pytest.mark.parametrize("form", [{}, {"counts": True}, {"edges": True}])
def test_what_a_history_repeats_counts_once(form: dict[str, bool]) -> None:
    """Going back, asking and running forward again change nothing; a new future counts."""
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        with guest.coverage(**form) as coverage:
            guest.run(max_instructions=200_000)
            before = coverage.result().blocks()
            guest.history.last_write("queue.tail")
            assert coverage.result().blocks() == before
            guest.reverse_step(1000)
            middle = guest.history.now
            guest.step(5)
            guest.reverse_run()
            guest.history.goto(middle)
            assert coverage.result().blocks() == before
            coverage.stop()
            coverage.start()  # in the past
            guest.run(max_instructions=900)
            assert guest.history.in_past
            assert coverage.result().blocks() == before
            guest.run(max_instructions=300)  # beyond the end of the history
            assert not guest.history.in_past
            with_future = coverage.result().instructions()
            if form:
                assert with_future.total == 200_200
            guest.reverse_step(500)
            guest.history.branch()
            guest.run(max_instructions=100)
            if form:
                assert coverage.result().instructions().total == 200_300
        guest.run()
        assert not coverage.on


def test_snapshots_do_not_take_it_back() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        snapshot = guest.snapshot()
        with guest.coverage(counts=True) as coverage:
            guest.run(max_instructions=100)
            guest.restore(snapshot)
            guest.run(max_instructions=100)
            guest.reset()
            guest.run(max_instructions=100)
        found = coverage.result().instructions()
        assert found.total == 300
        assert found[guest.symbol("_start").address] == 3


def test_points_and_conditions_do_not_show() -> None:
    """Hits that are decided in the processor, recorded, or stepped past by the debugger."""
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        with guest.coverage(edges=True) as coverage:
            guest.run(max_instructions=50_000)
        expected = coverage.result()
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        with guest.coverage(edges=True) as coverage:
            guest.watch("queue.tail", when="new > 30")
            guest.record("queue.head")
            guest.break_("queue_pop", when="x0 == 1")
            guest.watch("queue.items[3]")(lambda hit: None)
            (vcpu,) = guest.board.vcpus
            while (left := 50_000 - vcpu.instructions) > 0:
                guest.run(max_instructions=left)
            assert sum(point.seen for point in guest.points) > 50
        result = coverage.result()
    assert result.instructions().counts() == expected.instructions().counts()
    assert result.edges() == expected.edges()


def test_executed() -> None:
    blocks = [(Block(0x100, 4, True), 2), (Block(0x104, 1, False), 3), (Block(0x200, 1, False), 1)]
    executed = Executed.of_blocks(blocks, counted=True)
    assert list(executed) == [
        *(Run(0x100, 0x104, 2), Run(0x104, 0x108, 5), Run(0x108, 0x110, 2), Run(0x200, 0x204, 1)),
    ]
    assert (len(executed), executed.total) == (5, 12)
    assert 0x104 in executed
    assert [executed[a] for a in (0xFC, 0x100, 0x104, 0x106, 0x10C, 0x110, 0x200)] == [
        *(0, 2, 5, 0, 2, 0, 1),
    ]
    assert list(executed.between(0x106, 0x10C)) == [Run(0x106, 0x108, 5), Run(0x108, 0x10C, 2)]
    assert executed.counts() == {0x100: 2, 0x104: 5, 0x108: 2, 0x10C: 2, 0x200: 1}
    once = Executed.of_blocks(blocks, counted=False)
    assert list(once) == [Run(0x100, 0x110, 1), Run(0x200, 0x204, 1)]
    assert list(Executed()) == []
    assert "0x100" in repr(Run(0x100, 0x104, 2))


def test_the_last_instruction_of_the_address_space() -> None:
    executed = Executed.of_blocks([(Block((1 << 64) - 8, 2, False), 1)], counted=True)
    assert list(executed) == [Run((1 << 64) - 8, 1 << 64, 1)]


def test_code_is_found_where_no_symbols_are(tmp_path: Path) -> None:
    with assembled([0x91000400, 0x17FFFFFF]) as guest:  # add x0, x0, #1; b -4
        with guest.coverage(edges=True) as coverage:
            guest.run(max_instructions=10)
        result = coverage.result()
        assert result.functions() == []
        assert list(result.instructions()) == [Run(CODE, CODE + 8, 5)]
        assert result.edges() == {(CODE + 4, CODE): 5}


@needs_gcc
def test_lines_of_a_file_with_very_much_debug_information(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the units of which something ran are read, also those in the middle of a run."""
    sources = {
        "main.c": "int two(int), three(int);\nint main(void) {\n  return two(1) + three(2);\n}\n",
        "two.c": "int two(int x) {\n  return x + 2;\n}\n",
        "three.c": "int three(int x) {\n  return x + 3;\n}\n",
        "never.c": "int never(int x) {\n  return x;\n}\n",
    }
    path = compiled(tmp_path, sources, ("-g", "-O0"))

    def lines() -> dict[tuple[str, int], int]:
        with guestdbg.load(path, **OPTIONS) as guest:
            with guest.coverage() as coverage:
                guest.run()
            return {(each.file, each.line): each.count for each in coverage.result().lines()}

    everything = lines()
    assert ("never.c", 2) in everything
    monkeypatch.setattr("guestdbg.debugger.program.line_files.LARGE", 0)
    some = lines()
    assert {key for key, count in everything.items() if count} <= some.keys()
    assert everything.keys() - some.keys() == {("never.c", n) for n in (1, 2, 3)}
    assert all(everything[key] == count for key, count in some.items())
