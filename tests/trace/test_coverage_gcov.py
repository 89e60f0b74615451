"""The lines of coverage are those of gcov, for the same program on the host and as a guest."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import guestdbg
from tests.debugger.compiled import compiled, needs_gcc

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

#: What main() below does with its number; each with other paths.
PROGRAM = """\
static volatile unsigned sink;
static unsigned table[16];

static unsigned gcd(unsigned a, unsigned b) {
    while (b) {
        unsigned t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static unsigned fib(unsigned n) {
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

static int classify(int x) {
    switch (x % 5) {
    case 0:
        return 7;
    case 1:
        x += 2;
        /* fall through */
    case 2:
        x *= 3;
        break;
    case 3:
        if (x > 50)
            return -1;
        break;
    default:
        x = x > 20 ? x - 20 : -x;
    }
    return x;
}

static int never(int x) {
    if (x)
        return 1;
    return 0;
}

static void sort(unsigned *a, int n) {
    for (int i = 1; i < n; i++) {
        unsigned v = a[i];
        int j = i - 1;
        while (j >= 0 && a[j] > v) {
            a[j + 1] = a[j];
            j--;
        }
        a[j + 1] = v;
    }
}

static unsigned twice(unsigned x) { return 2 * x; }
static unsigned square(unsigned x) { return x * x; }

static unsigned apply(unsigned (*f)(unsigned),
                      unsigned x,
                      unsigned y) {
    unsigned sum =
        f(x) +
        f(y);
    return sum;
}

int main(void) {
    int odd = 0;
    unsigned seed = 12345;
    for (int i = 0; i < 16; i++) {
        seed = seed * 1103515245 + 12345;
        table[i] = seed >> 16;
        if (table[i] & 1) {
            odd++;
            continue;
        }
        if (i > 13 || odd > 9)
            break;
    }
    sort(table, 16);
    for (int i = 0; i < 100; i += 3)
        sink += classify(i);
    sink += gcd(1071, 462) + fib(12);
    sink += apply(twice, 3, 4) + apply(square, 5, 6);
    int n = 5;
    do {
        sink += n;
        if (n == 3)
            goto out;
    } while (--n);
    sink += never(n);
out:
    if (odd == 12345)
        sink = never(odd);
    else if (odd > 2 && sink)
        sink++;
    return 0;
}
"""

GCC, GCOV = shutil.which("gcc"), shutil.which("gcov")
#: "        5*:   12:    text"
GCOV_LINE = re.compile(r" *([-#=]+|[0-9]+)\*?: *([0-9]+):")


def of_gcov(directory: Path) -> dict[int, int]:
    """The counts of the lines that gcov knows, of the program on this machine."""
    (directory / "program.c").write_text(PROGRAM)

    def run(*command: str) -> str:
        return subprocess.run(
            command, cwd=directory, check=True, capture_output=True, text=True
        ).stdout

    run("gcc", "-O0", "--coverage", "-o", "program", "program.c")
    run("./program")
    (data,) = directory.glob("*program.gcda")
    run("gcov", "-o", str(data), "program.c")
    found = {}
    for text in (directory / "program.c.gcov").read_text().splitlines():
        match = GCOV_LINE.match(text)
        if match is not None and match[1] != "-" and match[2] != "0":
            found[int(match[2])] = int(match[1]) if match[1].isdigit() else 0
    return found


@needs_gcc
@pytest.mark.skipif(GCC is None or GCOV is None, reason="gcc and gcov of this machine are missing")
def test_lines_are_those_of_gcov(tmp_path: Path) -> None:
    native = tmp_path / "native"
    native.mkdir()
    expected = of_gcov(native)
    path = compiled(tmp_path, {"program.c": PROGRAM}, ("-g", "-O0"))
    for counts in (False, True):
        with guestdbg.load(path, console=None, provider="soft") as guest:
            with guest.coverage(counts=counts) as coverage:
                assert guest.run(timeout=60).reason == "exit"
            lines = coverage.result().lines()
        found = {line.line: line.count for line in lines if line.file == "program.c"}
        both = sorted(found.keys() & expected.keys())
        assert len(both) > 55
        assert len(both) > 0.9 * max(len(found), len(expected))
        assert [n for n in both if found[n]] == [n for n in both if expected[n]]
        if counts:
            assert {n: found[n] for n in both} == {n: expected[n] for n in both}
        else:
            assert {found[n] for n in both} == {0, 1}
