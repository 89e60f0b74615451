"""Variables in conditions whose names are not Python's: keywords, `->`, `::`, `file.c:name`."""

import ast
import keyword
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError
from guestdbg.debugger.breakpoints.conditions.variable_names import take_out_variables


def parsed(text: str) -> str:
    """The tree of a text, its variables restored, in the notation of ast.dump."""
    taken_out = take_out_variables(text)
    tree = ast.parse(taken_out.text, mode="eval")
    taken_out.restore(tree)
    return ast.dump(tree)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("fifo.in == 3", ["fifo.in"]),
        ("class > 2 and lambda < 3", ["class", "lambda"]),
        ("in in (1, 2)", ["in"]),
        ("not in (1, 2)", ["not"]),
        ("not in in (1, 2)", ["in"]),
        ("not not", ["not"]),
        ("not == 3", ["not"]),
        ("not.x == 3", ["not.x"]),
        ("is is None", ["is"]),
        ("None.x == 3", ["None.x"]),
        ("p->next->in == 0", ["p->next->in"]),
        ("p -> next [ 0x3 ] . id == 0", ["p->next[0x3].id"]),
        ("stats.c:worst == 3", ["stats.c:worst"]),
        ("queue/stats.c::worst == 3", ["queue/stats.c:worst"]),
        ("'a-b.c':worst == 3", ["a-b.c:worst"]),
        ("std::limits::max == 3", ["std::limits::max"]),
        ("(new if if else else) == 1", ["if", "else"]),
        ("'in' == file", []),
        ("new == None", []),
        ("limit == 1", []),  # Python's parser takes it as it is
    ],
)
def test_a_variable_of_c_stands_where_an_operand_is_expected(
    text: str, variables: list[str]
) -> None:
    assert list(take_out_variables(text).variables.values()) == variables


def test_a_placeholder_is_no_name_of_the_text() -> None:
    taken_out = take_out_variables("v_0 == class and v__0 == in")
    assert list(taken_out.variables.values()) == ["class", "in"]
    assert not {"v_0", "v__0"} & set(taken_out.variables)


@pytest.mark.parametrize("text", ["not " + "in " * 1300, "." * 4000, "not in " * 500, "a.a/" * 900])
def test_a_long_condition_ends(text: str) -> None:
    with suppress(ConditionError):
        Condition(text)


NAMES = ["alpha", "beta", "gamma"]
#: `not` is left out: before a parenthesis, a minus sign or a bracket it is the operator.
KEYWORDS = sorted({*keyword.kwlist} - {"None", "True", "False", "not"})
OPERANDS = st.sampled_from(NAMES) | st.integers(0, 99).map(str) | st.just("'text'")


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        ["+", "-", "*", "&", "<<", "==", "<", "and", "or", "in", "not in", "is", "is not"]
    )
    return st.one_of(
        st.builds("{} {} {}".format, inner, binary, inner),
        st.builds("({}({}))".format, st.sampled_from(["not ", "-", "~", ""]), inner),
        st.builds("({}, {})".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("u32[{}]".format, inner),
    )


EXPRESSIONS = st.recursive(OPERANDS, combined, max_leaves=8)


@given(EXPRESSIONS)
def test_an_expression_of_python_stays_as_it_is(text: str) -> None:
    assert take_out_variables(text).text == text


@given(EXPRESSIONS, st.lists(st.sampled_from(KEYWORDS), min_size=3, max_size=3))
def test_a_keyword_is_a_name_wherever_a_name_may_stand(text: str, words: list[str]) -> None:
    expected: Any = ast.parse(text, mode="eval")
    renamed = dict(zip(NAMES, words, strict=False))
    for node in ast.walk(expected):
        if isinstance(node, ast.Name):
            node.id = renamed.get(node.id, node.id)
    for name, word in renamed.items():
        text = text.replace(name, word)
    assert parsed(text) == ast.dump(expected)
