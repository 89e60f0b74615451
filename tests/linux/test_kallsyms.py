"""The reader of kallsyms: every layout since Linux 4.0, and tables that lie."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestdbg.linux import BadKallsyms, Kallsyms

from .kallsyms_writer import LINK, RELEASES, Kernel, Release, random_symbols, write

COUNT = 700
#: The time that a hostile table may take, on a machine with much else to do.
PATIENCE_SECONDS = 20


def made(release: Release, seed: int, count: int = COUNT, **options: object) -> Kernel:
    random = Random(seed)
    symbols = random_symbols(random, count, long_names=release.long_names)
    padding = random.randbytes(random.randrange(3000))
    return write(release, symbols, padding=padding, **options)  # type: ignore[arg-type]


def check(kallsyms: Kallsyms, symbols: list[tuple[str, int, str]]) -> None:
    assert [tuple(symbol) for symbol in kallsyms] == symbols
    assert sorted(kallsyms.names()) == sorted({name for name, _, _ in symbols})
    for name, _, _ in symbols:
        found = kallsyms.named(name)
        assert sorted(found) == sorted(s for s in symbols if s[0] == name)
        kinds = [symbol.type.isupper() for symbol in found]
        assert kinds == sorted(kinds, reverse=True)
    assert kallsyms.named("no_such_name") == []


@pytest.mark.parametrize("release", RELEASES)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_written_is_read(release: str, data: st.DataObject) -> None:
    layout = RELEASES[release]
    seed = data.draw(st.integers(0, 1 << 32))
    count = data.draw(st.integers(257, 1100))
    percpu = data.draw(st.integers(0, 300)) if layout.form == "percpu" else 0
    kernel = made(layout, seed, count, percpu=percpu)
    kallsyms = Kallsyms(kernel.image)
    check(kallsyms, kernel.symbols)
    assert kallsyms.form == layout.form
    if layout.form != "place":
        assert kallsyms.address == LINK
        assert kallsyms.base_word is not None
        at, offset = kallsyms.base_word
        assert int.from_bytes(kernel.image[at : at + 8], "little") - offset == LINK


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("count", [512, 768, 1024])
def test_counts_whose_lowest_byte_is_zero(release: str, count: int) -> None:
    """With the zeros before it, the number of symbols looks like another number there."""
    for seed in range(3):
        kernel = made(RELEASES[release], seed, count)
        assert [tuple(symbol) for symbol in Kallsyms(kernel.image)] == kernel.symbols


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(-8, 1 << 23))
def test_an_offset_belongs_to_the_first_of_the_last_symbols_before_it(
    seed: int, offset: int
) -> None:
    kernel = made(RELEASES["6.4"], seed, 400)
    kallsyms = Kallsyms(kernel.image)
    end = kernel.symbols[-1][1]
    offset %= end + 16
    before = [s for s in kernel.symbols if s[1] <= offset]
    expected = next(s for s in before if s[1] == before[-1][1]) if offset < end else None
    assert kallsyms.at(offset) == expected
    assert kallsyms.at(-1) is None
    after = [s[1] for s in kernel.symbols if s[1] > offset]
    assert kallsyms.next_offset(offset) == (after[0] if after else end)


@pytest.mark.parametrize("release", ["4.6", "4.20", "6.1", "6.2", "6.4"])
def test_a_base_that_the_kernel_fills_in_is_found_by_its_pointers(release: str) -> None:
    random = Random(5)
    symbols = random_symbols(random, COUNT, long_names=False)
    # Relocations: where, R_AARCH64_RELATIVE, the address of a symbol.
    words = [
        word
        for _, offset, _ in random.sample(symbols, 300)
        for word in (LINK + random.randrange(0, 1 << 20, 8), 0x403, LINK + offset)
    ]
    padding = b"".join(word.to_bytes(8, "little") for word in words)
    kernel = write(RELEASES[release], symbols, filled_in=False, padding=padding)
    kallsyms = Kallsyms(kernel.image)
    assert kallsyms.address == LINK
    check(kallsyms, symbols)


def test_without_text_the_first_symbol_is_found_in_the_image() -> None:
    """Without CONFIG_KALLSYMS_ALL the first symbol is _stext, 64 KiB after the start."""
    symbols = random_symbols(Random(6), COUNT, long_names=False)[1:]
    shifted = [(name, offset - symbols[0][1], type_) for name, offset, type_ in symbols]
    kernel = write(RELEASES["6.1"], shifted, link=LINK + 0x10000)
    kallsyms = Kallsyms(kernel.image)
    assert kallsyms.address == LINK
    check(kallsyms, [(name, offset + 0x10000, type_) for name, offset, type_ in shifted])
    nowhere = write(RELEASES["6.1"], shifted, link=LINK + 0x10000, filled_in=False)
    with pytest.raises(BadKallsyms, match="_text is not among them"):
        Kallsyms(nowhere.image)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no kallsyms token table"),
        (bytes(100_000), "no kallsyms token table"),
        (b"".join(bytes([c, 0]) for c in b"0123456789") * 5000, "no kallsyms token table"),
    ],
)
def test_what_is_no_kernel(data: bytes, message: str) -> None:
    with pytest.raises(BadKallsyms, match=message):
        Kallsyms(data)


def test_how_far_the_search_got_is_said() -> None:
    kernel = made(RELEASES["6.4"], 1)
    whole = kernel.image
    tokens = whole.index(b"".join(bytes([c, 0]) for c in b"0123456789"))
    with pytest.raises(BadKallsyms, match="no table of names"):
        Kallsyms(bytes(tokens - 3000) + whole[tokens - 3000 :])
    with pytest.raises(BadKallsyms, match=r"700 names at .* no ascending table"):
        Kallsyms(whole[: tokens + 1800])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(RELEASES)), st.integers(0, 1 << 32))
def test_damaged_tables_raise_one_error_or_are_read(release: str, seed: int) -> None:
    random = Random(seed)
    image = bytearray(made(RELEASES[release], seed % 5, 300).image)
    for _ in range(random.choice((1, 3, 20, 200))):
        at = random.randrange(len(image))
        length = random.choice((1, 4, 8, 300))
        image[at : at + length] = random.choice(
            (random.randbytes(length), bytes(length), b"\xff" * length)
        )
    if random.random() < 0.2:
        del image[random.randrange(len(image)) :]
    try:
        kallsyms = Kallsyms(bytes(image))
    except BadKallsyms:
        return
    for symbol in kallsyms:
        kallsyms.at(symbol.offset)
        kallsyms.next_offset(symbol.offset)
    assert all(kallsyms.named(name) for name in kallsyms.names())


def test_what_looks_like_tables_everywhere_takes_bounded_time() -> None:
    """Thousands of counts, each before names that end at markers, and before token tables."""
    tables = made(RELEASES["4.20"], 2, 257).image[64:]
    start = tables.index(b"".join(bytes([c, 0]) for c in b"0123456789")) - 3000
    hostile = bytearray()
    for _ in range(40):
        hostile += (300).to_bytes(4, "little") * 20_000 + tables[start + 1500 :] + bytes(64)
    before = time.monotonic()
    with pytest.raises(BadKallsyms):
        Kallsyms(bytes(hostile))
    assert time.monotonic() - before < PATIENCE_SECONDS


def test_names_that_expand_without_end_are_refused() -> None:
    names = [(f"s{n}", 8 * n, "T") for n in range(300)]
    kernel = write(RELEASES["6.4"], [("_text", 0, "T"), *names])
    kallsyms = Kallsyms(kernel.image)
    kallsyms._packed = b"s" * (2 << 20)
    kallsyms._table[ord("s")] = "x" * 255
    with pytest.raises(BadKallsyms, match="over 256 MiB"):
        kallsyms.names()
