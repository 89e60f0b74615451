"""LLDB as the client of `guestdbg gdb`, driven by its Python module in a separate process."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.machine.guests import EXAMPLES

SECONDS = 90
BUILD = Path(__file__).parents[2] / "build"

# The beginning of every script. `report` reports results; connect() begins the session.
_PROLOGUE = """
import json, os, sys, threading, time
import lldb

debugger = lldb.SBDebugger.Create()
debugger.SetAsync(False)

def report(**what):
    print("TELL " + json.dumps(what), flush=True)

def run(command):
    result = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand(command, result)
    print("(lldb)", command, "\\n", result.GetOutput() or "", result.GetError() or "", flush=True)
    if not result.Succeeded():
        raise SystemExit("LLDB: %s: %s" % (command, result.GetError()))
    return result.GetOutput() or ""

def connect():
    global target, process
    if SYMBOLS:
        run("target create " + SYMBOLS)
    run("process connect " + TARGET if "/" in TARGET else "gdb-remote " + TARGET)
    target = debugger.GetSelectedTarget()
    process = target.GetProcess()

def thread():
    return process.GetSelectedThread()

def frame():
    return thread().GetFrameAtIndex(0)

def function():
    return frame().GetFunctionName()

def why():
    return thread().GetStopDescription(100)

def value(expression):
    found = frame().EvaluateExpression(expression)
    if found.GetError().Fail():
        raise SystemExit("LLDB: %s: %s" % (expression, found.GetError()))
    return found.GetValueAsUnsigned()

def register(name):
    return frame().FindRegister(name).GetValueAsUnsigned()
"""


def _home() -> str | None:
    """The directory of LLDB's Python module, from LLDB itself; None without LLDB."""
    program = shutil.which("lldb")
    if program is None:
        return None
    said = subprocess.run([program, "-P"], capture_output=True, text=True, timeout=60, check=False)
    return said.stdout.strip()


@functools.cache
def module_path() -> Path | None:
    """A directory from which ``import lldb`` works; None without LLDB.

    In Debian's package the link to the module's library is broken, and LLDB reports a directory
    that does not exist. The files are therefore searched for and linked together here.
    """
    home = _home()
    if home is None:
        return None
    places = [Path(home), *sorted(Path("/usr/lib").glob("llvm-*/lib/python3*/dist-packages"))]
    for place in places:
        package = place / "lldb"
        if not (package / "embedded_interpreter.py").exists():
            continue
        if any(file.exists() for file in package.glob("_lldb*")):
            return place
        version = next(part for part in package.parts if part.startswith("llvm-"))[5:]
        libraries = sorted(Path("/usr/lib").glob(f"*/liblldb-{version}.so*"))
        if not libraries:
            continue
        return _linked(package, libraries[0], BUILD / f"lldb-{version}")
    return None


def _linked(package: Path, library: Path, directory: Path) -> Path:
    """A directory with LLDB's module: links to the package's files and to the library.

    It stays in ``build`` for the next run. Several test processes may make it at once.
    """
    if not directory.exists():
        directory.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=directory.parent))
        (made / "lldb").mkdir()
        for file in package.iterdir():
            if not file.name.startswith("_lldb"):
                (made / "lldb" / file.name).symlink_to(file)
        (made / "lldb" / "_lldb.so").symlink_to(library)
        try:
            made.rename(directory)
        except OSError:  # another process was first
            shutil.rmtree(made)
    return directory


def _python() -> str | None:
    """The interpreter that LLDB's module is built for: the system's."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else None


needs_lldb = pytest.mark.skipif(
    module_path() is None or _python() is None,
    reason="no LLDB with its Python module: install Debian's lldb and python3-lldb",
)


class Results(dict[str, Any]):
    """The results that a script reported by `report`, and ``text``, LLDB's whole output."""

    text = ""


def lldb(target: str, script: str, *, symbols: str | Path | None = None) -> Results:
    """Run Python with LLDB and the helpers above; all results that it reported.

    ``target`` is `HOST:PORT`, `:PORT` or a socket's path, as `guestdbg gdb` names it for GDB.
    ``symbols`` is an example's name, or a file.
    """
    path = ""
    if symbols is not None:
        path = str(symbols if "/" in str(symbols) else EXAMPLES / f"{symbols}.elf")
    where = f"unix-connect://{target}" if target.startswith("/") else f"127.0.0.1{target}"
    head = f"TARGET = {where!r}\nSYMBOLS = {path!r}\n"
    python, home = _python(), module_path()
    assert python is not None
    assert home is not None
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(f"{head}{_PROLOGUE}\n{textwrap.dedent(script)}")
        file.flush()
        result = subprocess.run(
            [python, file.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
            env={"PYTHONPATH": str(home), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
    results = Results()
    results.text = result.stdout
    for line in result.stdout.splitlines():
        if line.startswith("TELL "):
            results.update(json.loads(line[5:]))
    assert result.returncode == 0, result.stdout
    return results
