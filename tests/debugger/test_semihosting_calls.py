"""Semihosting calls are caught in the same way whatever the provider can do.

``exit``: the provider exits at HLT. ``vectors``: it could, and the debugger does not use it, as
with GUESTDBG_PLAIN=1. ``plain``: a provider without any extension, as the host's KVM.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from guestdbg.check.assembler import add, b, flat, hlt, hvc, mov, movz, mrs, msr, svc, udf
from guestdbg.debugger import Guest, OutOfRegisters, Stop
from guestdbg.debugger.vcpu import semihosting_exits
from guestdbg.semihosting import Semihosting, SemihostingError

from .assembled import CODE, DATA, RAM, VECTORS, assembled, words

HLT = hlt(0xF000)
OTHER_VECTORS = VECTORS + 0x800
SPSEL_0 = 0xD50040BF  # msr spsel, #0
MOV_SP_X9 = 0x9100013F
ERET = 0xD69F03E0
BR_X9 = 0xD61F0120
STRB_W10_X1 = 0x3900002A
_OFF = 0x8400_0008

Load = Callable[..., Guest]


def call(operation: int, block: int = DATA) -> list[int]:
    return flat(mov(0, operation), mov(1, block), [HLT])


def put(text: str) -> list[int]:
    """SYS_WRITEC of each letter."""
    return flat(*(flat(mov(1, DATA), movz(10, ord(c)), [STRB_W10_X1], call(3)) for c in text))


def set_vbar(address: int) -> list[int]:
    return flat(mov(9, address), [msr("VBAR_EL1", 9)])


#: SYS_EXIT with the status at DATA + 0x108.
EXIT = call(0x18, DATA + 0x100)
#: Handles an exception: the next instruction, by x11 and x12; what the handler does comes between.
SAVE = [mrs(11, "ELR_EL1"), mrs(12, "SPSR_EL1")]
RESUME = [msr("SPSR_EL1", 12), msr("ELR_EL1", 11), ERET]
SKIP = [*SAVE, add(11, 11, 4), *RESUME]


@pytest.fixture(params=["exit", "vectors", "plain"])
def load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(semihosting_exits, "PLAIN", request.param == "vectors")
    made = []

    def load(code: Sequence[int], vectors: Any = None, **options: Any) -> Guest:
        guest = assembled(
            code,
            vectors,
            plain=request.param == "plain",
            **({"semihosting": Semihosting(), "console": io.BytesIO()} | options),
        )
        guest.write(DATA + 0x100, (0x20026).to_bytes(8, "little") + (5).to_bytes(8, "little"))
        made.append(guest)
        return guest

    yield load
    for guest in made:
        guest.close()


def finish(guest: Guest) -> Stop:
    stop = guest.run(timeout=20)
    assert stop.reason == "exit", stop
    assert stop.status == 5
    return stop


@pytest.fixture
def printed(load: Load) -> Callable[..., str]:
    """Run a guest to its end; what it has printed."""

    def printed(code: Sequence[int], vectors: Any = None, **options: Any) -> str:
        out = io.BytesIO()
        guest = load(code, vectors, console=out, **options)
        finish(guest)
        return out.getvalue().decode()

    return printed


def test_without_vectors(printed) -> None:
    assert printed([*put("ab"), *EXIT]) == "ab"


def test_the_vectors_change(printed) -> None:
    code = [*put("a"), *set_vbar(VECTORS), *put("b"), *set_vbar(OTHER_VECTORS), *put("c")]
    handlers = {0x200: [b(0)], 0xA00: [b(0)]}
    assert printed([*code, *EXIT], handlers) == "abc"


def test_with_sp_el0(printed) -> None:
    code = [*set_vbar(VECTORS), *put("a"), SPSEL_0, *put("b"), *EXIT]
    assert printed(code, {0: [b(0)], 0x200: [b(0)]}) == "ab"


def test_in_a_handler_that_has_saved_what_a_call_overwrites(printed) -> None:
    code = [*set_vbar(VECTORS), *put("a"), svc(), *put("c"), svc(), *EXIT]
    assert printed(code, {0x200: [b(0x400)], 0x600: [*SAVE, *put("b"), *RESUME]}) == "abcb"


def test_other_exceptions_are_the_guests(printed) -> None:
    code = [*set_vbar(VECTORS), udf(0), *put("a"), hlt(1), hlt(0xF001), *put("b"), udf(1), *EXIT]
    assert printed(code, {0x200: SKIP}) == "ab"


def test_a_branch_to_the_vector_is_not_a_call(printed) -> None:
    """ESR_EL1 and ELR_EL1 are those of the last call then."""
    code = [*set_vbar(VECTORS), *put("a"), *mov(9, VECTORS + 0x200), BR_X9]
    assert printed(code, {0x200: [b(0x400)], 0x600: [*put("b"), *EXIT]}) == "ab"


def test_at_el0_it_is_undefined(load) -> None:
    out = io.BytesIO()
    code = [
        *set_vbar(VECTORS),
        *put("a"),
        *flat(mov(9, CODE + 0x1000), [msr("ELR_EL1", 9)], mov(9, 0), [msr("SPSR_EL1", 9), ERET]),
    ]
    guest = load(code, {0x400: [b(0x200)], 0x600: [*put("b"), *EXIT]}, console=out)
    guest.write(CODE + 0x1000, words(*put("x"), b(0)))
    finish(guest)
    assert out.getvalue() == b"ab"


@pytest.mark.parametrize("size", [1, 7])
def test_steps(load, size: int) -> None:
    out = io.BytesIO()
    code = [*put("a"), *set_vbar(VECTORS), *put("bc"), svc(), *put("d"), *EXIT]
    guest = load(code, {0x200: SKIP}, console=out)
    stop = guest.step(size)
    for _ in range(200):
        if stop.reason == "exit":
            break
        assert stop.reason == "step"
        assert stop.pc not in (VECTORS, RAM)
        stop = guest.step(size)
    assert (stop.reason, stop.status) == ("exit", 5)
    assert out.getvalue() == b"abcd"


def test_one_step_is_one_call(load) -> None:
    guest = load([*set_vbar(VECTORS), *call(0x31), *EXIT], {0x200: [b(0)]})
    at = CODE + 4 * len([*set_vbar(VECTORS), *call(0x31)]) - 4
    guest.run(until=at)
    pstate = guest.cpu.pstate
    stop = guest.step()
    assert (stop.reason, stop.pc) == ("step", at + 4)
    assert guest.cpu.x[0] > 0
    assert guest.cpu.pstate == pstate


def test_a_breakpoint_at_the_call_is_hit_once_and_before_it(load) -> None:
    out = io.BytesIO()
    code = [*set_vbar(VECTORS), *put("a"), *EXIT]
    guest = load(code, {0x200: [b(0)]}, console=out)
    point = guest.break_(CODE + 4 * (len(code) - len(EXIT) - 1))
    seen = []
    point(lambda hit: seen.append(out.getvalue()))
    finish(guest)
    assert seen == [b""]
    assert out.getvalue() == b"a"


def test_a_breakpoint_at_the_vector_is_hit_by_other_exceptions_only(load) -> None:
    code = [*set_vbar(VECTORS), *put("a"), svc(), *put("b"), *EXIT]
    guest = load(code, {0x200: SKIP})
    seen = []
    guest.break_(VECTORS + 0x200)(lambda hit: seen.append(hit.pc))
    finish(guest)
    assert seen == [VECTORS + 0x200]


def test_watches_and_their_conditions_go_on(load) -> None:
    code = [*set_vbar(VECTORS), *put("abca"), *EXIT]
    guest = load(code, {0x200: [b(0)]})
    every = guest.watch(DATA, 1, when="count > 0")
    some = guest.watch(DATA, 1, when=f"new == {ord('a')}")
    every(lambda hit: None)
    some(lambda hit: None)
    finish(guest)
    assert (every.hits, some.hits, some.seen) == (4, 2, 4)


def test_input_is_waited_for_and_comes(load) -> None:
    code = [*set_vbar(VECTORS), *call(7), *mov(1, DATA), 0x39000020, *call(3), *EXIT]
    out = io.BytesIO()
    guest = load(code, {0x200: [b(0)]}, console=out)
    at = CODE + 4 * len([*set_vbar(VECTORS), *call(7)]) - 4
    point = guest.break_(at)
    assert guest.run(timeout=20).reason == "hit"
    for _ in range(3):
        stop = guest.run(timeout=20)
        assert (stop.reason, stop.pc) == ("idle", at)
        assert stop.detail == semihosting_exits.WAITS_FOR_INPUT
        assert guest.step().reason == "idle"
    assert point.hits == 1
    guest.board.console.feed(b"q")
    finish(guest)
    assert out.getvalue() == b"q"
    assert point.hits == 1


def test_the_input_has_ended(load) -> None:
    code = [*set_vbar(VECTORS), *call(7), *EXIT]
    guest = load(code, {0x200: [b(0)]})
    guest.board.console.feed(b"q")
    guest.board.console.input_ended = True
    at = CODE + 4 * len([*set_vbar(VECTORS), *call(7)])
    guest.run(until=at)
    assert guest.cpu.x[0] == ord("q")
    guest.cpu.pc = at - 4
    guest.cpu.x[0] = 7
    guest.run(until=at)
    assert guest.cpu.x[0] == (1 << 64) - 1


def test_two_vcpus_call(load) -> None:
    second = CODE + 0x1000
    out = io.BytesIO()
    start = flat(mov(0, 0xC400_0003), movz(1, 1), mov(2, second), mov(3, 0), [hvc()])
    code = [*set_vbar(VECTORS), *put("a"), *start, *mov(0, 0x8400_0002), hvc()]
    guest = load(code, {0x200: [b(0)], 0xA00: [b(0)]}, console=out, vcpus=2)
    guest.write(second, words(*put("b"), *set_vbar(OTHER_VECTORS), *put("c"), *EXIT))
    finish(guest)
    assert out.getvalue() == b"abc"


def test_two_vcpus_and_one_waits_for_input(load) -> None:
    code = [*set_vbar(VECTORS), *call(7), *EXIT]
    guest = load(code, {0x200: [b(0)]}, vcpus=2)
    stop = guest.run(timeout=20)
    assert (stop.reason, stop.detail) == ("idle", semihosting_exits.WAITS_FOR_INPUT)
    guest.board.console.feed(b"q")
    finish(guest)


def test_a_fault_without_vectors_is_reported_as_ever(load) -> None:
    guest = load([*put("a"), *mov(9, 0x1000_0000), BR_X9])
    stop = guest.run(timeout=20)
    assert stop.reason == "error"
    assert guest.cpu.reg("vbar_el1") == 0
    assert guest.cpu.pc == 0x200


def test_limits_of_instructions_end_at_the_same_places(monkeypatch) -> None:
    def stops(plain: bool) -> list[Any]:
        monkeypatch.setattr(semihosting_exits, "PLAIN", plain)
        found = []
        for limit in range(1, 40):
            out = io.BytesIO()
            code = [*set_vbar(VECTORS), *put("ab"), *EXIT]
            options = {"semihosting": Semihosting(), "console": out}
            with assembled(code, {0x200: [b(0)]}, **options) as guest:
                stop = guest.run(max_instructions=limit)
                found.append((stop.reason, stop.pc, out.getvalue(), guest.execution.retired()))
        return found

    with_exits = stops(False)
    assert with_exits == stops(True)
    assert {found[0] for found in with_exits} == {"limit", "exit"}


@pytest.mark.parametrize("load", ["exit", "vectors"], indirect=True)
def test_a_snapshot_with_other_vectors(load) -> None:
    out = io.BytesIO()
    code = [*set_vbar(VECTORS), *put("a"), *set_vbar(OTHER_VECTORS), *put("b"), *EXIT]
    guest = load(code, {0x200: [b(0)], 0xA00: [b(0)]}, console=out)
    start = guest.snapshot()
    finish(guest)
    guest.restore(start)
    finish(guest)
    assert out.getvalue() == b"abab"


def test_registers_that_are_missing_are_explained(monkeypatch, caplog) -> None:
    monkeypatch.setattr(semihosting_exits, "PLAIN", True)
    with assembled([*put("a"), *EXIT], {0x200: [b(0)]}, semihosting=Semihosting()) as guest:
        available = guest.hardware.breakpoints - 2
        for n in range(available):
            guest.break_(CODE + 0x2000 + 4 * n, kind="hardware")
        with pytest.raises(OutOfRegisters, match="semihosting"):
            guest.break_(CODE + 0x3000, kind="hardware")
        assert guest.break_(CODE + 0x3000).kind == "software"


@pytest.mark.parametrize("places", [1, 4])
def test_a_guest_with_two_registers(monkeypatch, caplog, places: int) -> None:
    """They are at the vectors: that these change is noticed at the next stop only."""
    monkeypatch.setattr(semihosting_exits, "PLAIN", True)
    out = io.BytesIO()
    code = [*put("a"), *(set_vbar(VECTORS) * places), *EXIT]
    options: dict[str, Any] = {"semihosting": Semihosting(), "console": out, "breakpoints": 2}
    with assembled(code, {0x200: [b(0)]}, **options) as guest:
        guest.write(DATA + 0x100, (0x20026).to_bytes(8, "little") + (5).to_bytes(8, "little"))
        guest.step(len(put("a")) + places * len(set_vbar(VECTORS)))
        finish(guest)
    assert out.getvalue() == b"a"
    assert "sets its exception vectors in" in caplog.text


def test_an_error_of_the_consoles_sink_is_no_error_of_the_guests(load) -> None:
    def full(data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    code = [*mov(1, DATA), movz(10, 10), STRB_W10_X1, *call(3), *EXIT]
    guest = load(code, console=full)
    with pytest.raises(OSError, match="no space"):
        guest.run(timeout=20)


@pytest.mark.parametrize("block", [0, 8, 0x1000_0000, RAM + (16 << 20) - 8, 1 << 47, (1 << 64) - 8])
@pytest.mark.parametrize("operation", [1, 2, 5, 6, 0x0F, 0x15, 0x16, 0x30])
def test_blocks_that_are_not_there(load, operation: int, block: int) -> None:
    """Not in memory, past its end, not canonical, past the last address."""
    guest = load([*set_vbar(VECTORS), *call(operation, block), 0xAA0003F4, *call(0x13), *EXIT])
    guest.run(
        until=CODE + 4 * (len([*set_vbar(VECTORS), *call(operation, block), *call(0x13)]) + 1)
    )
    if block == RAM + (16 << 20) - 8 and operation in (2, 0x30):
        # Eight bytes are there: SYS_ELAPSED writes so many, SYS_CLOSE finds no handle 0.
        assert guest.cpu.x[20] == (0 if operation == 0x30 else (1 << 64) - 1)
        return
    assert guest.cpu.x[20] == (1 << 64) - 1
    assert guest.cpu.x[0] == errno.EFAULT


def test_open_files_stay_over_a_restore_and_not_over_a_reset(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(semihosting_exits, "PLAIN", False)
    code = [*call(5, DATA + 0x200), *call(5, DATA + 0x200), *EXIT]
    options: dict[str, Any] = {"semihosting": Semihosting(tmp_path)}
    with assembled([*call(1, DATA + 0x240), *code], **options) as guest:
        guest.write(DATA + 0x180, b"file")
        for at, fields in ((0x240, (DATA + 0x180, 4, 4)), (0x200, (1, DATA + 0x180, 2))):
            guest.write(DATA + at, b"".join(f.to_bytes(8, "little") for f in fields))
        after_open = CODE + 4 * len(call(1, DATA))
        guest.run(until=after_open)
        assert guest.cpu.x[0] == 1
        start = guest.snapshot()
        guest.run(timeout=20)
        guest.restore(start)
        guest.run(until=after_open + 4 * len(call(5, DATA)))
        assert guest.cpu.x[0] == 0
        assert (tmp_path / "file").read_bytes() == b"fififi"


@pytest.mark.parametrize("value", ["/tmp", 1, None, object()])
def test_what_is_no_option_of_semihosting(value: Any) -> None:
    with pytest.raises(SemihostingError, match="must be True, False or a"):
        assembled(EXIT, semihosting=value)


def test_the_diagnosis_of_a_vcpu_that_waits_for_input(load) -> None:
    guest = load([*set_vbar(VECTORS), *call(7), *EXIT], {0x200: [b(0)]})
    assert guest.diagnose()[0].text == ""
    assert guest.run(timeout=20).reason == "idle"
    (found,) = guest.diagnose()
    assert (found.status, found.text) == ("runs", "it waits for console input (semihosting)")
    guest.cpu.pc = CODE
    guest.step()
    assert guest.diagnose()[0].text == ""
