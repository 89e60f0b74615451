"""guestdbg as a process of its own: how it is started.

The modules of an installed package are compiled. Where Python must not write bytecode
(PYTHONDONTWRITEBYTECODE), a process would compile all of them at each start, for which no user
waits. Therefore the bytecode goes to the build folder here.
"""

import os
import sys
from pathlib import Path

#: The command `guestdbg`, of the Python that measures.
GUESTDBG = [sys.executable, "-c", "from guestdbg.cli import main; main()"]

BYTECODE = Path("build/bytecode")


def environment() -> dict[str, str]:
    """The environment of a process that is measured."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(BYTECODE.absolute())}
