"""Calls and returns are matched as a program makes them, also where it does not return."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.trace.tracing import call_stack
from guestdbg.trace.tracing.call_stack import CallStack

TOP = 0x8000_0000


def function_of(address: int) -> str | None:
    return f"function {address >> 12}"


@dataclass
class Frame:
    function: int
    back: int
    sp: int  # at its call
    frame: int  # bytes that it takes


@dataclass
class Program:
    """A program that keeps to AAPCS64, and a stack that gets its branches."""

    stack: CallStack = field(default_factory=CallStack)
    frames: list[Frame] = field(default_factory=lambda: [Frame(0, 0, TOP, 64)])
    exceptions: list[tuple[int, list[Frame]]] = field(default_factory=list)
    shown: int = 0

    @property
    def depth(self) -> int:
        outer = sum(len(frames) for _, frames in self.exceptions)
        return outer + len(self.frames) - 1

    def ended(self, count: int, begun: int = 0) -> None:
        self.shown += begun - count
        assert self.shown == len(self.stack) >= 0

    def sp(self) -> int:
        return self.frames[-1].sp - self.frames[-1].frame

    def call(self, function: int, site: int, frame: int) -> None:
        source = (self.frames[-1].function << 12) + site * 4
        self.ended(self.stack.call(source, self.sp(), f"function {function}"), 1)
        self.frames.append(Frame(function, source + 4, self.sp(), frame))

    def tail_call(self, function: int) -> None:
        if len(self.frames) > 1:
            self.frames[-1].function = function

    def ret(self) -> None:
        if len(self.frames) > 1:
            frame = self.frames.pop()
            self.ended(self.stack.returned(frame.back, frame.sp, function_of))

    def longjmp(self, levels: int) -> None:
        """To the function that called ``levels`` others since."""
        if levels < len(self.frames):
            del self.frames[len(self.frames) - levels :]
            target = (self.frames[-1].function << 12) + 0x800
            self.ended(self.stack.returned(target, self.sp(), function_of))

    def take(self, el: int) -> None:
        self.ended(self.stack.exception(el), 1)
        self.exceptions.append((el, self.frames))
        self.frames = [Frame(15, 0, TOP - 0x100000 * len(self.exceptions), 64)]

    def eret(self) -> None:
        if self.exceptions:
            el, frames = self.exceptions.pop()
            self.ended(self.stack.exception_return(el))
            self.frames = frames


FUNCTIONS = st.integers(1, 6)
CALLS = st.tuples(
    st.just("call"), FUNCTIONS, st.integers(0, 3), st.integers(1, 4).map(lambda n: n * 16)
)
RETURNS = st.tuples(st.just("ret"))
EXCEPTIONS = st.one_of(st.tuples(st.just("take"), st.integers(0, 1)), st.tuples(st.just("eret")))


@given(st.lists(st.one_of(CALLS, RETURNS, EXCEPTIONS), max_size=200))
def test_whoever_returns_is_followed_exactly(steps: list[tuple]) -> None:
    program = Program()
    for name, *arguments in steps:
        getattr(program, name)(*arguments)
        assert len(program.stack) == program.depth


JUMPS = st.tuples(st.just("longjmp"), st.integers(1, 8))
TAILS = st.tuples(st.just("tail_call"), st.just(9))


@given(
    st.lists(st.one_of(CALLS, RETURNS, JUMPS, TAILS, EXCEPTIONS), max_size=200),
)
def test_after_the_outermost_return_nothing_is_left(steps: list[tuple]) -> None:
    program = Program()
    program.call(7, 0, 16)
    for name, *arguments in steps:
        if not (name == "ret" and len(program.frames) <= 2 - bool(program.exceptions)):
            if name == "longjmp" and len(program.frames) - arguments[0] < 2:
                continue
            getattr(program, name)(*arguments)
    while program.exceptions:
        program.eret()
    while len(program.frames) > 1:
        program.ret()
    assert len(program.stack) == 0


@given(st.lists(st.one_of(CALLS, RETURNS, JUMPS), max_size=200))
def test_a_longjmp_ends_what_it_leaves(steps: list[tuple]) -> None:
    program = Program()
    program.call(7, 0, 16)
    for name, *arguments in steps:
        if name == "longjmp" and len(program.frames) - arguments[0] < 2:
            continue
        getattr(program, name)(*arguments)
        assert len(program.stack) == program.depth


def test_a_loop_that_is_left_by_longjmp_without_symbols_does_not_grow() -> None:
    stack = CallStack()
    for _ in range(1000):
        stack.call(0x1000, 0x8000)
        stack.call(0x2000, 0x7000)
        stack.returned(0x9000, 0x8000)
    assert len(stack) == 2


def test_a_function_that_moves_the_stack_has_returned() -> None:
    stack = CallStack()
    stack.call(0x1000, 0x8000)
    assert stack.returned(0x1004, 0x4000) == 1


def test_a_handler_does_not_return_from_what_it_interrupted() -> None:
    stack = CallStack()
    stack.call(0x1000, 0x8000)
    stack.exception(0)
    assert stack.returned(0x1004, 0x8000) == 0
    assert len(stack) == 2
    assert stack.exception_return(0) == 1
    assert stack.returned(0x1004, 0x8000) == 1


def test_an_exception_return_ends_the_levels_above() -> None:
    stack = CallStack()
    stack.exception(0)
    stack.call(0x1000, 0x8000)
    stack.exception(1)
    stack.exception(1)
    assert stack.exception_return(0) == 4
    stack.exception(0)
    # From a task that was interrupted in the kernel: not the end of the system call.
    assert stack.exception_return(1) == 0
    assert len(stack) == 1


def test_a_guest_that_never_returns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_stack, "MOST_FRAMES", 100)
    stack, shown = CallStack(), 0
    for number in range(1000):
        shown -= stack.call(0x1000 + 4 * number, 0x8000 - 16 * number) - 1
        assert shown == len(stack) <= 100
