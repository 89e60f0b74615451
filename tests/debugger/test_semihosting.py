"""A guest that calls semihosting: it is reported once, and the HLT stays UNDEFINED."""

import logging

import pytest

from .assembled import CODE, VECTORS, assembled

HLT = 0xD4400000 | 0xF000 << 5
MOV_X0 = 0xD2800000  # mov x0, #imm
NOP = 0xD503201F
SELF = 0x14000000
SKIP = (0xD538402A, 0x9100114A, 0xD518402A, 0xD69F03E0)  # elr_el1 += 4, by x10; eret
SET_VBAR = 0xD518C009  # msr vbar_el1, x9


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.WARNING)
    return lambda: [r.getMessage() for r in caplog.records if "semihosting" in r.getMessage()]


def prologue():
    """x9 = VECTORS; VBAR_EL1 = x9."""
    return [0xD2A00009 | (VECTORS >> 16) << 5, SET_VBAR]


@pytest.mark.parametrize("stepped", [False, True])
def test_the_first_call_is_reported(messages, stepped: bool) -> None:
    code = [*prologue(), MOV_X0 | 4 << 5, HLT, MOV_X0 | 0x18 << 5, HLT, SELF]
    with assembled(code, {0x200: SKIP}) as made:
        if stepped:
            made.step(20)
        else:
            made.run(max_instructions=50)
        assert made.cpu.pc == CODE + 6 * 4
        assert made.cpu.x[0] == 0x18
    assert len(messages()) == 1
    assert "SYS_WRITE0" in messages()[0]
    assert hex(CODE + 3 * 4) in messages()[0]


def test_a_breakpoint_at_the_call_is_hit_first(messages) -> None:
    code = [*prologue(), MOV_X0 | 4 << 5, HLT, NOP, SELF]
    with assembled(code, {0x200: SKIP}) as made:
        made.break_(CODE + 3 * 4)
        assert made.run().reason == "hit"
        assert not messages()
        made.run(max_instructions=50)
        assert made.cpu.pc == CODE + 5 * 4
    assert len(messages()) == 1


@pytest.mark.parametrize("number", [0x7F, 0xFFFF])
def test_an_operation_that_does_not_exist_is_given_by_number(messages, number: int) -> None:
    with assembled([*prologue(), MOV_X0 | number << 5, HLT, SELF], {0x200: SKIP}) as made:
        made.run(max_instructions=50)
    assert f"{number:#x}" in messages()[0]


@pytest.mark.parametrize("immediate", [0, 1, 0xF001])
def test_other_halts_are_not_semihosting(messages, immediate: int) -> None:
    code = [*prologue(), 0xD4400000 | immediate << 5, SELF]
    with assembled(code, {0x200: SKIP}) as made:
        made.run(max_instructions=50)
        assert made.cpu.pc == CODE + 3 * 4
    assert not messages()


def test_a_restored_guest_does_not_report_again(messages) -> None:
    code = [*prologue(), MOV_X0 | 4 << 5, HLT, SELF]
    with assembled(code, {0x200: SKIP}) as made:
        start = made.snapshot()
        for _ in range(2):
            made.run(max_instructions=50)
            assert made.cpu.pc == CODE + 4 * 4
            made.restore(start)
    assert len(messages()) == 1
