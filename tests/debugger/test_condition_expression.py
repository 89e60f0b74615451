"""The language of conditions: what it can express, and that it can do nothing else."""

import unicodedata
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError
from guestdbg.debugger.errors import UnknownSymbol


class Guest:
    """Variables by expression, as guest[...] returns them."""

    variables: ClassVar = {"queue.size": 64, "limit": 7, "items[2].id": 5, "items[2]['id']": 6}

    def __getitem__(self, name: str) -> int:
        if name not in self.variables:
            raise UnknownSymbol(name, [])
        return self.variables[name]

    def read(self, address: int, length: int) -> bytes:
        assert 0 <= address < 1 << 64
        return bytes(length)


class HitWithVariables(SimpleNamespace):
    """A hit in code without local variables."""

    def __getitem__(self, name: str) -> Any:
        return self.guest[name]


def hit(**values: Any) -> Any:
    """An object with the attributes of a hit that conditions read."""
    return HitWithVariables(
        **{
            "new": 8,
            "old": 7,
            "pc": 0x4008_0000,
            "address": 0x4009_0000,
            "size": 4,
            "point": SimpleNamespace(seen=3),
            "location": SimpleNamespace(function="note_worst", file="queue/stats.c", line=16),
            "vcpu": SimpleNamespace(
                x=list(range(0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF_0000_001F)), sp=5
            ),
            "guest": Guest(),
        }
        | values
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("new == 8", True),
        ("new != old + 1", False),
        ("old < new <= 8", True),
        ("old < new < 8", False),
        ("new > 8 or count == 3", True),
        ("new > 8 and count == 3", False),
        ("not new", False),
        ("new & 0xc", True),
        ("new ^ 8", False),
        ("(new << 4) == 0x80", True),
        ("-new < 0", True),
        ("~new == -9", True),
        ("new % 3 == 2 and new // 3 == 2", True),
        ("function == 'note_worst'", True),
        ("function not in ('queue_push', 'queue_pop')", True),
        ("'worst' in function", True),
        ("line == 16 and file == 'queue/stats.c'", True),
        ("x1 == 0xffffffff00000001", True),
        ("w1 == 1", True),
        ("x30 == lr and sp == 5", True),
        ("pc == 0x40080000 and address > pc and size == 4", True),
        ("new >= queue.size", False),
        ("limit == 7 and items[2].id == 5 and items[2]['id'] == 6", True),
    ],
)
def test_conditions_are_evaluated(text: str, expected: bool) -> None:
    assert Condition(text)(hit()) is expected


@pytest.mark.parametrize("text", ["new > 3", "new < 3", "3 <= new"])
def test_orderings_are_false_without_a_new_value(text: str) -> None:
    assert Condition(text)(hit(new=None)) is False


def test_a_condition_can_ask_for_no_new_value() -> None:
    assert Condition("new == None")(hit(new=None)) is True


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "new()",
        "guest.read(0, 4)",
        "lambda: 1",
        "[x for x in (1, 2)]",
        "f'{new}'",
        "new if old else 3",
        "(new := 3)",
        "items[new]",
        "f().x",
        "(1).real",
        "'a'.join",
        "items[1:2]",
        "x ** 99999999",
        "1.5j < new",
        "b'x'",
        "new is None",
        "*new",
        "{1: 2}",
        "await new",
        "",
        "new ==",
        "new; old",
        "\0",
        "(" * 500 + "new" + ")" * 500,
        "not " * 5000 + "new",
    ],
)
def test_texts_that_are_not_in_the_language(text: str) -> None:
    with pytest.raises(ConditionError, match="condition"):
        Condition(text)


@pytest.mark.parametrize(
    "text", ["new // 0 == 1", "1 << 9999999999 << 99", "new < 'a'", "new << -1", "'a' in new"]
)
def test_conditions_that_cannot_be_evaluated(text: str) -> None:
    with pytest.raises(ConditionError, match="cannot be evaluated"):
        Condition(text)(hit())


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 99999999999 == file",
        "'%1999999999d' % x0 == file",
        "(1, 2) * 9999999999 == new",
        "new + 'a'",
        "-None == 1",
        "file + function",
        "(" * 5000 + "x0" + ")" * 5000 + " == 1",
        "-" * 970 + "x0 == 1",
        "~" * 101 + "x0",
        "x0" + " + x0" * 101,
        "x" + ".x" * 200,
        "(" * 150 + "new" + ",)" * 150,
        "new == 1" + "0" * 4080,
        "new == " + "9" * 5000,
        f"new == {1 << 256:#x}",
        "new == 1 or " * 400 + "new",
    ],
)
def test_texts_beyond_the_bounds(text: str) -> None:
    with pytest.raises(ConditionError, match=r"numbers only|too deeply|256 bits|4096") as caught:
        Condition(text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("new * 99999999999 == 0", b"12345678"),
        ("new % 3 == 0", b"%9999999999d"),
        ("new + new == 0", b"1234"),
        ("u32[new] == 0", b"1234"),
        ("new * new * new * new * new == 0", (1 << 64) - 1),
        ("new << 200 == 0", (1 << 64) - 1),
        ("new >> (1 << 200) == 0", 1),
        ("-new", None),
    ],
)
def test_values_beyond_the_bounds(text: str, new: Any) -> None:
    with pytest.raises(ConditionError, match="cannot be evaluated"):
        Condition(text)(hit(new=new))


def test_what_the_bounds_allow() -> None:
    assert Condition("new == 8 or " * 300 + "new")(hit())
    assert Condition("~" * 99 + "x0 < 0")(hit())
    assert Condition(f"new in ({'1, ' * 1000}8)")(hit())
    assert Condition("1 << 255 > new << 190 and ~(new == 8) == -2")(hit())


NUMBERS = st.integers(0, (1 << 64) - 1)


@given(NUMBERS, NUMBERS, st.sampled_from(["+", "-", "*", "&", "|", "^"]), NUMBERS)
def test_arithmetic_is_that_of_python(new: int, old: int, op: str, than: int) -> None:
    text = f"(new {op} old) > {than}"
    expected = eval(text, {"new": new, "old": old})
    assert Condition(text)(hit(new=new, old=old)) is expected


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_refused_clearly(text: str) -> None:
    try:
        condition = Condition(text)
    except ConditionError:
        return
    written = unicodedata.normalize("NFKC", "".join(condition.text.split())).replace("::", ":")
    assert all(name.replace("::", ":") in written for name in condition.variables)


WORDS = """
    new x0 w1 file function limit queue.size items[2] count None 'a' '%99d' 0 1 255
    0xffffffffffffffff + - * // % << >> ~ & | ^ ( ) , [ ] == < in not and or if u32[ u8[
"""


@given(
    st.lists(st.sampled_from(WORDS.split()), max_size=25),
    st.sampled_from([0, 8, None, b"12345678", (1 << 64) - 1]),
)
def test_junk_is_refused_with_a_clear_error(words: list[str], new: Any) -> None:
    with suppress(ConditionError, UnknownSymbol):
        Condition(" ".join(words))(hit(new=new))
