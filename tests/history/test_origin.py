"""Where a value came from: on a guest that copies in many ways, and by single-stepping a run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import AddressError, Guest, OptimizedOut, UnknownSymbol, Unsupported
from guestdbg.history import NotRecorded, Origin
from guestdbg.history.questions.instructions import Instructions, WriterKind
from tests.debugger.compiled import compiled, needs_gcc
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"
COPIES = (Path(__file__).parent / "copies.c").read_text()
OPTIONS = {"provider": "soft", "memory": "8M", "console": None}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    directory = tmp_path_factory.mktemp("copies")
    path = compiled(directory, {"copies.c": COPIES}, floats=True)
    with guestdbg.load(path, history=True, **OPTIONS) as guest:
        guest.run()
        yield guest


def check_chain(guest: Guest, found: Origin) -> None:
    """Each step is later than the one after it, and wrote what it is said to have written."""
    times = [step.hit.time for step in found]
    assert times == sorted(times, reverse=True)
    for step in found:
        assert step.hit.backtrace()[0].pc == step.hit.pc
        assert step.hit.location.address == step.hit.pc


#: What is asked for, why it ends, a part of the text, and what the chain goes through, in order.
CHAINS = [
    ("made", "computed", "`add w", ("w",)),
    ("by_call", "computed", "`add w", ("w2", "w0", "4 bytes at 0x", "w0")),
    ("first.kind", "computed", "`add w", ("bytes 0 to 1",)),
    ("first.flag", "computed", "`add w", ("byte 0",)),
    ("second.pair.a", "computed", "`add w", ("first.pair.a",)),
    ("second.pair.b", "constant", "`mov x", ("first.pair.b",)),
    ("third.pair.a", "computed", "`add w", ("x10", "second.pair.a", "first.pair.a")),
    ("third.kind", "computed", "`add w", ("second.kind", "first.kind")),
    ("fourth.pair.a", "computed", "`add w", ("v0, bytes 8 to 15", "third.pair.a")),
    ("fourth.more[1]", "computed", "`add w", ("d4", "d2", "third.more[1]", "first.more[1]")),
    ("fourth.more[0]", "computed", "`eor x", ("v1, bytes 8 to 15", "third.more[0]")),
    ("nested.pair.a", "computed", "`add w", ("third.pair.a", "second.pair.a")),
    ("bytes_out[3]", "computed", "`eor x", ("byte 0", "first.more[0]", "byte 3")),
    ("widened", "computed", "`add w", ("made",)),
    ("signed_wide", "beginning", "guest.elf was loaded with it", ("x3", "w3")),
    ("narrow", "computed", "`add w", ("byte 0", "made")),
    ("middle", "beginning", "word has had it", ("bytes 1 to 2",)),
    ("constant", "constant", "`mov x", ("x",)),
    ("cleared", "constant", "xzr", ()),
    ("chosen", "computed", "`add w", ("made",)),
    ("uart_flags", "outside", "it was read from PL011, at 0x9000018", ("w0",)),
    ("exchanged", "beginning", "slot has had it", ("x1",)),
    ("slot", "computed", "`add w", ("x4", "w1", "made")),
    ("never_written", "beginning", "guest.elf was loaded with it", ()),
    ("end_of_chain", "beginning", "never_written has had it", ("x1",)),
    ("halved", "computed", "`fmul d0, d0, d1`", ("d0",)),
    ("x0", "outside", "a call to the hypervisor", ()),
    ("d0", "computed", "with d0 = 0x408f400000000000, d1 = 0x3fe0000000000000", ()),
]


@needs_gcc
@pytest.mark.parametrize(("what", "reason", "text", "through"), CHAINS, ids=[c[0] for c in CHAINS])
def test_a_value_is_followed(copies: Guest, what: str, reason: str, text: str, through) -> None:
    here = digest(copies)
    found = copies.history.origin(what)
    assert digest(copies) == here, "asking does not move the guest"
    assert (found.reason, text in found.text) == (reason, True), str(found)
    check_chain(copies, found)
    sources = [step.source for step in found]
    for expected in through:
        place = next((n for n, each in enumerate(sources) if expected in each), None)
        assert place is not None, str(found)
        del sources[: place + 1]


@needs_gcc
def test_extensions_and_cuts_are_said(copies: Guest) -> None:
    def notes(what: str) -> str:
        return "; ".join(step.note for step in copies.history.origin(what))

    assert "sign-extended from 4 bytes" in notes("signed_wide")
    assert "zero-extended from 4 bytes" in notes("widened")
    origin = copies.history.origin(copies.symbol("bytes_out").address, 8)
    assert "it wrote 1 byte of the 8" in origin[0].note
    assert origin[0].value == copies.read(copies.symbol("bytes_out").address + 7, 1)[0]
    assert (
        str(origin)
        .splitlines()[0]
        .endswith(f"= {copies.read_u64(copies.symbol('bytes_out').address):#x}")
    )


@needs_gcc
def test_the_steps_of_an_origin_are_hits(copies: Guest) -> None:
    found = copies.history.origin("by_call")
    assert [each.function for each in (f.location for f in found[2].hit.backtrace())][:2] == [
        "passed_on",
        "main",
    ]
    last = found[-1].hit
    copies.goto(last)
    assert copies.cpu.pc == last.pc
    copies.step()
    assert copies.cpu.x[int(found[-1].target[1:])] == found.value
    copies.history.goto_end()


@needs_gcc
def test_local_variables_in_memory_and_registers(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"copies.c": COPIES}, floats=True)
    with guestdbg.load(path, history=True, **OPTIONS) as guest:
        guest.run(until="leaf")
        found = guest.history.origin("n")
        assert found.reason == "computed"
        assert "`add x0, x0, #1`" in found.text
        assert found.name == "x0"
        guest.run(until="passed_on")
        with pytest.raises(UnknownSymbol):
            guest.history.origin("no_such_variable")


@needs_gcc
def test_what_the_user_wrote_is_said(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"copies.c": COPIES}, floats=True)
    with guestdbg.load(path, history=True, **OPTIONS) as guest:
        guest.run(until="main")
        guest.write_u32(guest.symbol("seed").address, 2000)
        at = guest.history.now.position
        guest.run(until="leaf")
        guest.cpu.x[0] = 100
        register_at = guest.history.now.position
        assert guest.history.origin("x0").reason == "user"
        guest.run()
        seed = guest.history.origin("seed")
        assert (seed.reason, len(seed)) == ("user", 0)
        assert str(at) in seed.text
        assert guest["tail_result"].value_() == 100 * 3 + 3
        leaf = guest.history.calls("leaf")[0]
        guest.goto(leaf.position)
        guest.step(2)
        guest.history.goto_end()
        assert guest.history.value("seed")[-1] == (at, 2000, "user")
        assert register_at > at


def test_what_a_semihosting_call_has_written() -> None:
    options = OPTIONS | {"semihosting": guestdbg.Semihosting(args="hello")}
    with guestdbg.load(EXAMPLES / "semihosting.elf", history=True, **options) as guest:
        guest.run(max_instructions=2_000_000)
        found = guest.history.origin("line[1]")
        assert found.reason == "unknown"
        assert "semihosting call" in found.text


# ---- registers, by single-stepping ---------------------------------------------------------------


def changes(guest: Guest, count: int) -> list[tuple]:
    """(position before, position after, vCPU, registers before, and after) of each instruction."""
    found = []
    last = {cpu.id: list(cpu.x) for cpu in guest.vcpus}
    for _ in range(count):
        before = guest.history.now.position
        guest.run(max_instructions=1)
        after = guest.history.now.position
        cpu = guest.vcpus[after.vcpu]
        new = list(cpu.x)
        found.append((before, after, after.vcpu, last[after.vcpu], new))
        last[after.vcpu] = new
    return found


@pytest.mark.parametrize(
    ("path", "vcpus", "skip"), [(QUEUE, 1, 30_000), (SMP, 2, 99_700), (SMP, 4, 199_800)]
)
def test_the_last_writer_of_a_register(
    path: Path, vcpus: int, skip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestdbg.history.questions.instructions.MOST_INSTRUCTIONS", 1000)
    with guestdbg.load(path, vcpus=vcpus, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=skip)
        log = changes(guest, 700)
        travel = guest.history._there
        here = digest(guest)
        rnd = random.Random(vcpus)
        kinds = set()
        with travel.elsewhere(), guest.execution.only(None):
            instructions = Instructions(guest, travel)
            for _ in range(25):
                place = rnd.randrange(300, len(log))
                before, vcpu, number = log[place][1], log[place][2], rnd.randrange(31)
                value = log[place][4][number]
                cpu = guest.vcpus[vcpu]
                writer = instructions.last_writer(
                    vcpu, f"x{number}", before, lambda c=cpu, n=number: c.x[n], value
                )
                kinds.add(writer.kind)
                changed = [
                    step[0]._replace(
                        turn=step[1].turn, vcpu=vcpu, instructions=step[1].instructions - 1
                    )
                    for step in log[: place + 1]
                    if step[2] == vcpu and step[3][number] != step[4][number]
                ]
                if changed and writer.kind is not WriterKind.TOO_FAR:
                    assert writer.kind is WriterKind.INSTRUCTION
                    assert writer.position.instructions >= changed[-1].instructions
                    travel.visit(writer.position, writer.pc)
                    assert cpu.pc == writer.pc
        assert WriterKind.INSTRUCTION in kinds
        assert digest(guest) == here


def test_what_lies_too_far_back_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.history.questions.instructions.MOST_INSTRUCTIONS", 100)
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=20_000)
        found = guest.history.origin("x27")
        assert (found.reason, len(found)) == ("unknown", 0)
        assert "vCPU 0 has not written x27 in the last 576 instructions" in found.text


@pytest.mark.parametrize("vcpus", [2, 4])
def test_values_that_another_vcpu_has_written(vcpus: int) -> None:
    with guestdbg.load(SMP, vcpus=vcpus, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=80_000 * vcpus)
        here = digest(guest)
        found = guest.history.origin("counter")
        check_chain(guest, found)
        assert found.reason == "computed"
        assert "`add x" in found.text
        assert found[0].hit.time == guest.history.last_write("counter").time
        assert digest(guest) == here


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_questions_say_what_would_be_right() -> None:
    plain = guestdbg.load(QUEUE, **OPTIONS)
    with plain as guest, pytest.raises(NotRecorded, match="history=True"):
        guest.history.origin("queue.tail")
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=200_000)
        with pytest.raises(UnknownSymbol, match="'tial'"):
            guest.history.origin("queue.tial")
        with pytest.raises(Unsupported, match="queue has 272 bytes"):
            guest.history.origin("queue")
        with pytest.raises(AddressError):
            guest.history.origin(0x7000_0000_0000, 8)
        guest.goto(guest.history.begin)
        found = guest.history.origin("queue.tail")
        assert (found.reason, len(found)) == ("beginning", 0)
        assert guest.history.origin("x7").reason == "beginning"


def test_a_variable_that_is_optimised_out(tmp_path: Path) -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(until="queue_push")
        with pytest.raises(OptimizedOut, match="job"):
            guest.history.origin("job")
        assert guest.history.origin("q").name == "x0"
