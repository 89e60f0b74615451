"""Sources are compiled for the Python in the lab, by a Python of that version on the host."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from guestdbg.lab import Lab, LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.image import bytecode, host_python
from guestdbg.lab.image.bytecode import Compiler
from tests.lab.test_deb import ar, tar

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
SOURCES = {
    "site/first.py": b"value = 'the first'\n",
    "site/data.txt": b"value = 1\n",
    "site/bad.py": b"this is no Python\n",
    "site/latin.py": b"# coding: latin-1\nvalue = '\xe4'\n",
}


def test_python_imports_what_was_compiled(tmp_path: Path) -> None:
    """The file is used although no source is there, so it is the bytecode that was imported."""
    found = Compiler(HERE, bytecode.own_command(HERE)).compile_all(SOURCES)
    tag = f"cpython-{HERE.replace('.', '')}"
    assert set(found) == {f"site/__pycache__/{name}.{tag}.pyc" for name in ("first", "latin")}
    for name, value in (("first", "the first"), ("latin", "ä")):
        path = tmp_path / f"{name}.pyc"
        path.write_bytes(found[f"site/__pycache__/{name}.{tag}.pyc"])
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.value == value
        assert module.__spec__ is spec


def test_without_a_python_of_that_version() -> None:
    assert bytecode.own_command("3.2") == []
    assert Compiler("3.2", ()).compile_all(SOURCES) == {}


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 3", "failed .status 3"), ("cat >/dev/null; echo x", "did not compile every source")],
)
def test_a_python_that_fails(tmp_path: Path, script: str, message: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(LabError, match=message):
        Compiler("3.14", (str(program),)).compile_all(SOURCES)


def test_a_python_from_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is unpacked with its libraries, and started by its own dynamic loader."""
    loader = b'#!/bin/sh\necho "$@"\n'
    files = {
        "libc6": {"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": loader, "etc/passwd": b""},
        "python3.14-minimal": {"usr/bin/python3.14": b"x", "usr/share/x": b""},
    }

    def fetch(suite: str, python: str, architecture: str, directory: Path) -> None:
        assert (suite, python, architecture) == ("sid", "3.14", "amd64")
        for name, contents in files.items():
            data = ar(("debian-binary", b"2.0\n"), ("data.tar.xz", tar(**contents)))
            (directory / f"{name}_1_amd64.deb").write_bytes(data)

    monkeypatch.setattr(packages, "fetch_python", fetch)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    ran = []
    monkeypatch.setattr(bytecode, "run", lambda command, _: ran.append(command))
    command = host_python.command(tmp_path, "sid", "3.14")
    top = tmp_path / "python-sid-3.14-amd64"
    libraries = top / "usr/lib/x86_64-linux-gnu"
    assert command == [
        *(f"{libraries}/ld-linux-x86-64.so.2", "--library-path", str(libraries)),
        *(f"{top}/usr/bin/python3.14", "-ISB"),
    ]
    assert ran == [command]
    assert {p.name for p in top.rglob("*") if p.is_file()} == {
        *("manifest.json", "ld-linux-x86-64.so.2", "python3.14"),
    }


def test_no_python_from_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab works without it. Neither a failed download nor a failed run is an error."""

    def no_network(*_: object) -> None:
        raise LabError("is there a network?")

    monkeypatch.setattr(packages, "fetch_python", no_network)
    assert host_python.command(tmp_path, "sid", "3.14") == []
    monkeypatch.setattr(packages, "fetch_python", lambda *_: None)
    assert host_python.command(tmp_path, "sid", "3.14") == []
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr(packages, "fetch_python", lambda *_: pytest.fail("nothing to fetch"))
    assert host_python.command(tmp_path, "sid", "3.14") == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_lab_with_another_python(trixie: Lab) -> None:
    """It imports bytecode only. The stable release after the lab's own has Python 3.13."""
    script = "import sys, guestdbg.cli.check as m; print(m.__cached__, sys.version_info[:2])"
    result = trixie.run(["python3", "-v", "-c", script], timeout=200)
    assert result.status == 0, result.stderr
    assert b".cpython-313.pyc (3, 13)\n" in result.stdout
    # Python names the .pyc file that it reads, or the source that it compiles.
    assert re.search(rb"^# code object from .*\.pyc'?$", result.stderr, re.MULTILINE)
    assert not re.search(rb"^# code object from .*\.py'?$", result.stderr, re.MULTILINE)
