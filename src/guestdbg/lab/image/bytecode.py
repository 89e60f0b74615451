"""Compiles Python sources on the host for the Python in the lab.

Under emulation, compiling takes most of the time that a command needs to start. Bytecode does not
depend on the processor, only on the version of Python: so a Python of the same version that runs
on the host can compile. Without one, the lab compiles what a command imports, each time that it
is booted.
"""

import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guestdbg.lab.errors import LabError

_SECONDS = 600
# Reads paths and sources and writes the contents of .pyc files, empty if a source does not compile
# (some libraries have sources for other versions of Python, which are never imported). The 1 is
# for PEP 552: the file holds a hash of its source, which is not checked at import.
_SCRIPT = """
import marshal, struct, sys, warnings
from importlib.util import MAGIC_NUMBER, source_hash

warnings.simplefilter("ignore")
data = sys.stdin.buffer
while head := data.read(8):
    path, source = (data.read(size) for size in struct.unpack("<II", head))
    try:
        code = compile(source, path.decode(), "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        pyc = b""
    else:
        pyc = MAGIC_NUMBER + struct.pack("<I", 1) + source_hash(source) + marshal.dumps(code)
    sys.stdout.buffer.write(struct.pack("<I", len(pyc)) + pyc)
"""


@dataclass(frozen=True)
class Compiler:
    """Compiles for one version of Python.

    Attributes:
        python: the version, such as "3.11".
        command: starts a Python of that version on the host; empty: there is none.
    """

    python: str
    command: Sequence[str]

    def compile_all(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        """Paths and contents of the .pyc files for ``sources``, which are by their paths in the
        lab. What is not Python or does not compile is left out.

        Raises LabError if the Python on the host fails.
        """
        chosen = {path: data for path, data in sources.items() if path.endswith(".py")}
        if not self.command or not chosen:
            return {}
        request = bytearray()
        for path, source in chosen.items():
            name = f"/{path}".encode()
            request += struct.pack("<II", len(name), len(source)) + name + source
        answer = memoryview(run(self.command, _SCRIPT, bytes(request)))
        found = {}
        try:
            for path in chosen:
                (size,) = struct.unpack_from("<I", answer)
                pyc, answer = answer[4 : 4 + size], answer[4 + size :]
                if len(pyc) != size:
                    raise ValueError
                if size:
                    found[self._pyc(path)] = bytes(pyc)
        except (struct.error, ValueError):
            raise LabError(f"{self.command[0]} did not compile every source") from None
        return found

    def _pyc(self, path: str) -> str:
        directory, _, name = path.rpartition("/")
        tag = f"cpython-{self.python.replace('.', '')}"
        return f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def own_command(python: str) -> list[str]:
    """The command of the Python that runs here, if it has that version; otherwise empty."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return [sys.executable, "-IS"] if sys.executable and python == here else []


def run(command: Sequence[str], script: str, data: bytes = b"") -> bytes:
    """The output of a script that a Python runs. Raises LabError if it fails."""
    try:
        done = subprocess.run(
            [*command, "-c", script], input=data, capture_output=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise LabError(f"{command[0]} failed (status {done.returncode}):\n{message}")
    return done.stdout
