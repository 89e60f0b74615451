"""Wrong use of the library: refused with a clear message, and nothing is lost by it."""

from __future__ import annotations

import copy
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import ConditionError, GuestBusy, InvalidLocation, UnknownRegister
from guestdbg.machine import MachineError
from guestdbg.machine.errors import LoadError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUEUE = EXAMPLES / "queue.elf"


def queue(**options: Any) -> guestdbg.Guest:
    return guestdbg.load(QUEUE, provider="soft", **{"console": None, **options})


# ---- arguments ----


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": 3.5}, "3.5 is not a size"),
        ({"memory": None}, "None is not a size"),
        ({"vcpus": "2"}, "'2' vCPUs"),
        ({"vcpus": 1.5}, "1.5 vCPUs"),
        ({"address": "x"}, "address='x': it must be an int"),
        ({"address": 0x40000000}, "an address is only for raw files"),
        ({"slide": "1"}, "slide is '1': it must be an int"),
        ({"overwatch": -1}, "overwatch is -1"),
        ({"overwatch": "1"}, "overwatch is '1'"),
        ({"bootargs": "a\0b"}, "without NUL"),
        ({"bootargs": 5}, "bootargs=5"),
        ({"console": "boot.log"}, "console='boot.log'"),
        ({"console": 5}, "console=5"),
        ({"turbo": None}, "no option 'turbo'; there are cpu, breakpoints"),
    ],
)
def test_a_senseless_board_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(guestdbg.GuestdbgError) as refused:
        queue(**options)
    assert said in str(refused.value)


def use(guest: guestdbg.Guest, what: str) -> object:
    """The calls of the next test, by name."""
    uses: dict[str, Callable[[], object]] = {
        "watch length": lambda: guest.watch("queue.tail", "4"),  # type: ignore[arg-type]
        "watch when": lambda: guest.watch("queue.tail", when=5),  # type: ignore[arg-type]
        "watch ignore": lambda: guest.watch("queue.tail", ignore="1"),  # type: ignore[arg-type]
        "watch context": lambda: guest.watch("queue.tail", context="x"),  # type: ignore[arg-type]
        "record registers": lambda: guest.record("queue.tail", registers=5),  # type: ignore[arg-type]
        "record names": lambda: guest.record("queue.tail", registers=("x0",)),  # type: ignore[arg-type]
        "record limit": lambda: guest.record("queue.tail", limit="a"),  # type: ignore[arg-type]
        "step": lambda: guest.step("x"),  # type: ignore[arg-type]
        "run timeout": lambda: guest.run(timeout="x"),  # type: ignore[arg-type]
        "run limit": lambda: guest.run(max_instructions=1.5),  # type: ignore[arg-type]
        "read": lambda: guest.read("main", 4),  # type: ignore[arg-type]
        "read length": lambda: guest.read(0x40200000, "4"),  # type: ignore[arg-type]
        "write": lambda: guest.write(0x40300000, "abc"),  # type: ignore[arg-type]
        "write count": lambda: guest.write(0x40300000, 5),  # type: ignore[arg-type]
        "write_u32": lambda: guest.write_u32(0x40300000, "x"),  # type: ignore[arg-type]
        "pc": lambda: setattr(guest.cpu, "pc", "main"),
        "x": lambda: guest.cpu.x["x0"],  # type: ignore[index]
        "set x": lambda: guest.cpu.x.__setitem__(0, 1.5),  # type: ignore[arg-type]
        "reg": lambda: guest.cpu.reg(5),  # type: ignore[arg-type]
        "set_reg": lambda: guest.cpu.set_reg("sp", "x"),  # type: ignore[arg-type]
        "nzcv": lambda: guest.cpu.reg("NZCV"),
        "item": lambda: guest[5],  # type: ignore[index]
        "handler": lambda: guest.watch("queue.tail")(5),  # type: ignore[arg-type]
        "condition": lambda: guestdbg.cond(5),  # type: ignore[arg-type]
    }
    return uses[what]()


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("watch length", InvalidLocation, "length is '4'"),
        ("watch when", InvalidLocation, "when is 5: it must be a text or a function"),
        ("watch ignore", InvalidLocation, "ignore is '1'"),
        ("watch context", InvalidLocation, "context is 'x'"),
        ("record registers", InvalidLocation, "registers is 5"),
        ("record names", InvalidLocation, "('x0',)"),
        ("record limit", InvalidLocation, "limit is 'a'"),
        ("step", InvalidLocation, "n is 'x'"),
        ("run timeout", InvalidLocation, "timeout is 'x'"),
        ("run limit", InvalidLocation, "max_instructions is 1.5"),
        ("read", InvalidLocation, "guest.symbol(name).address"),
        ("read length", InvalidLocation, "length is '4'"),
        ("write", InvalidLocation, "'abc' cannot be written"),
        ("write count", InvalidLocation, "write_u32() writes a number"),
        ("write_u32", InvalidLocation, "value is 'x'"),
        ("pc", InvalidLocation, "guest.symbol(name).address"),
        ("x", InvalidLocation, "x['x0']"),
        ("set x", InvalidLocation, "1.5"),
        ("reg", UnknownRegister, "named 5"),
        ("set_reg", InvalidLocation, "'x'"),
        ("nzcv", UnknownRegister, "a field of PSTATE"),
        ("item", InvalidLocation, "5 is not a variable"),
        ("handler", InvalidLocation, "5 is not a handler"),
        ("condition", ConditionError, "5 is not a condition"),
    ],
)
def test_a_senseless_call_is_refused(what: str, error: type[Exception], said: str) -> None:
    with queue() as guest:
        with pytest.raises(error) as refused:
            use(guest, what)
        assert said in str(refused.value)
        assert guest.run(max_instructions=1000).reason in ("limit", "hit")


def test_a_text_is_a_condition() -> None:
    with queue() as guest:
        astray = guest.watch("queue.tail", when="new != (old + 1) % queue.size")
        assert str(guest.run().location) == "note_worst+0x10 (stats.c:16)"
        astray.when = "new > old"
        assert isinstance(astray.when, guestdbg.debugger.Condition)
        with pytest.raises(ConditionError):
            astray.when = "new >"
    with queue() as guest, pytest.raises(ConditionError):
        guest.break_("main", when="os.system('true')")


def test_a_long_condition_is_not_repeated_in_full() -> None:
    with pytest.raises(ConditionError) as refused:
        guestdbg.cond("(" * 5000)
    assert len(str(refused.value)) < 400


def test_a_huge_length_is_refused_at_once() -> None:
    with queue() as guest, pytest.raises(guestdbg.debugger.AddressError):
        guest.read(0x40200000, 1 << 50)


def test_a_huge_instruction_limit_is_no_limit() -> None:
    with queue() as guest:
        assert guest.run(max_instructions=1 << 70).reason == "exit"


def test_a_recording_needs_memory_for_its_records_not_its_limit() -> None:
    with queue() as guest:
        tails = guest.record("queue.tail", limit=1 << 60)
        assert guest.run().reason == "exit"
        assert len(tails) == 20_003
    with queue() as guest:
        reads = guest.record("queue.tail", access="any", limit=70_000)  # more than one buffer
        assert guest.run().reason == "hit"
        assert len(reads) == 70_000


# ---- consoles ----


def test_a_text_file_is_a_console() -> None:
    printed = io.StringIO()
    with queue(console=printed) as guest:
        guest.run()
    assert printed.getvalue().startswith("queue: start\n")
    assert printed.getvalue().endswith("queue corrupt\n")


def test_a_character_in_two_pieces_is_one() -> None:
    from guestdbg.machine import Console

    printed = io.StringIO()
    console = Console(printed)
    for byte in "é".encode():
        console.put(byte)
        console.flush()
    assert printed.getvalue() == "é"


# ---- handlers ----


def test_coroutine_and_generator_functions_are_no_handlers() -> None:
    async def coroutine(hit: guestdbg.Hit) -> object:
        return guestdbg.STOP

    def generator(hit: guestdbg.Hit) -> Any:
        yield guestdbg.STOP

    with queue() as guest:
        watch = guest.watch("queue.tail")
        for function in (coroutine, generator):
            with pytest.raises(InvalidLocation, match="would not run"):
                watch(function)
            with pytest.raises(InvalidLocation, match="would not run"):
                watch.handler = function


def test_a_guest_is_not_served_or_closed_by_its_handlers() -> None:
    with queue() as guest:
        watch = guest.watch("queue.tail")
        watch.handler = lambda hit: hit.guest.serve_gdb("tcp:127.0.0.1:0")
        with pytest.raises(GuestBusy, match="stopped guest can be served"):
            guest.run()
        watch.handler = lambda hit: hit.guest.close()
        with pytest.raises(GuestBusy, match=r"return guestdbg\.STOP"):
            guest.run()
        watch.handler = None
        stop = guest.run()
        assert stop.hit is not None
        assert stop.hit.new == 3


# ---- copies ----


def test_a_copy_of_stop_is_the_same_object() -> None:
    assert pickle.loads(pickle.dumps(guestdbg.STOP)) is guestdbg.STOP
    assert copy.deepcopy(guestdbg.STOP) is guestdbg.STOP


def test_hits_say_why_they_are_not_pickled() -> None:
    with queue() as guest:
        guest.watch("queue.tail")
        stop = guest.run()
        for value in (stop.hit, stop, guest, guest.cpu, guest.snapshot()):
            with pytest.raises(TypeError, match="keep what you need"):
                pickle.dumps(value)
        assert stop.hit is not None
        kept = (str(stop.hit), stop.hit.location, stop.hit.backtrace())
        assert pickle.loads(pickle.dumps(kept)) == kept


# ---- threads and signals ----


def test_leaving_the_with_block_ends_another_threads_run() -> None:
    stops: list[guestdbg.Stop] = []
    with guestdbg.load(EXAMPLES / "spin.elf", provider="soft", console=None) as guest:
        thread = threading.Thread(target=lambda: stops.append(guest.run()))
        thread.start()
        while not guest.execution.running:
            time.sleep(0.001)
    thread.join(30)
    assert [stop.reason for stop in stops] == ["interrupt"]


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("example", ["spin", "queue"])
def test_ctrl_c_ends_a_run_and_loses_nothing(example: str) -> None:
    with guestdbg.load(EXAMPLES / f"{example}.elf", provider="soft", console=None) as guest:
        watch = guest.watch("queue.tail") if example == "queue" else None
        if watch is not None:
            watch.handler = lambda hit: None if hit.count != 7 else press_from_a_thread()
        else:
            threading.Timer(0.2, press_ctrl_c).start()
        with pytest.raises(KeyboardInterrupt):
            guest.run()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if watch is None:
            assert guest.run(max_instructions=1000).reason in ("limit", "hit")
            return
        watch.handler = lambda hit: None
        assert guest.run().reason == "exit"
        assert watch.hits == 20_003


def press_from_a_thread() -> None:
    """As a person would: from outside, while a handler runs or soon after."""
    thread = threading.Thread(target=press_ctrl_c)
    thread.start()
    thread.join()


def test_ctrl_c_in_a_handler_is_raised_at_once() -> None:
    with queue() as guest:
        watch = guest.watch("queue.tail")

        @watch
        def waits(hit: guestdbg.Hit) -> None:
            threading.Timer(0.05, press_ctrl_c).start()
            while True:
                time.sleep(0.001)

        with pytest.raises(KeyboardInterrupt):
            guest.run()
        watch.handler = None
        stop = guest.run()
        assert stop.hit is not None
        assert (stop.hit.old, stop.hit.new) == (1, 2)


def test_the_users_signal_handler_is_called_while_the_guest_runs() -> None:
    called: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: called.append(number))
    try:
        with guestdbg.load(EXAMPLES / "spin.elf", provider="soft", console=None) as guest:
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
            while not called:
                guest.run(max_instructions=100_000_000)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_subpackages_need_no_import_of_their_own() -> None:
    code = (
        "import guestdbg\n"
        "print(guestdbg.debugger.OutOfRegisters.__name__, guestdbg.machine.Board.__name__)\n"
        "try:\n    guestdbg.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "OutOfRegisters Board",
        "module 'guestdbg' has no attribute 'nothing'",
    ]


def test_points_are_listed() -> None:
    with queue() as guest:
        guest.watch("queue.tail")
        assert repr(guest.points).startswith("[<Watch 1 queue.tail: write of 4 bytes at 0x4020202c")


# ---- files ----


def test_an_elf_with_an_address_is_not_taken_for_bytes() -> None:
    with pytest.raises(LoadError, match="an address is only for raw files"):
        queue(address=0x40000000)
    with pytest.raises(MachineError):
        queue(memory="1X")


def test_compilers_names_with_dots_are_symbols(tmp_path: Path) -> None:
    """A variable of a function is `calls.0` in the symbol table."""
    contents = (EXAMPLES / "counter.elf").read_bytes()
    renamed = tmp_path / "renamed.elf"
    renamed.write_bytes(contents.replace(b"\0counter\0", b"\0count.0\0"))
    with guestdbg.load(renamed, provider="soft", console=None) as guest:
        watch = guest.watch("count.0")
        assert (watch.address, watch.length) == (guest.symbol("count.0").address, 8)
        watch.enabled = False  # _start clears it
        guest.run(until="main")
        watch.enabled = True
        stop = guest.run()
        assert stop.hit is not None
        assert stop.hit.location.function == "count"


# ---- names in conditions ----


@pytest.mark.parametrize(
    "text", ["tial > 3", "queue.tial > 3", "queue.tail > 3 and nowhere.x == 1"]
)
def test_a_wrong_name_in_a_condition_is_reported_when_it_is_given(text: str) -> None:
    with queue() as guest:
        for give in (
            lambda: guest.watch("queue.tail", when=text),
            lambda: guest.watch("queue.tail", when=guestdbg.cond(text)),
            lambda: guest.record("queue.tail", when=text),
            lambda: guest.break_("note_worst", when=text),
            lambda: guest.break_("note_worst", when=text, kind="software"),
        ):
            with pytest.raises(guestdbg.GuestdbgError, match=r"tial|nowhere"):
                give()
        assert not list(guest.points)


def test_a_point_keeps_its_condition_if_another_names_what_does_not_exist() -> None:
    with queue() as guest:
        point = guest.watch("queue.tail", when="new == 3")
        for enabled in (True, False):
            point.enabled = enabled
            with pytest.raises(guestdbg.GuestdbgError, match="tial"):
                point.when = "tial > 3"
            assert getattr(point.when, "text", None) == "new == 3"
        point.enabled = True
        assert guest.run().hit.new == 3
