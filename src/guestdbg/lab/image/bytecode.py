"""Compiles Python sources on the host for the Python in the lab.

Under emulation, compiling takes most of the time that a command needs to start. It can be done on
the host if its Python has the same version. If not, the first command in a lab compiles, and later
commands use its result.
"""

import importlib.util
import marshal
import sys
import warnings

# PEP 552: the file holds a hash of its source, which is not checked at import.
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def compiled(path: str, source: bytes, python: str) -> tuple[str, bytes] | None:
    """(path, contents) of the .pyc file for the source that is at ``path`` in the lab.

    None if this Python is not version ``python`` ("3.11") or if the source does not compile.
    """
    if not path.endswith(".py") or python != f"{sys.version_info[0]}.{sys.version_info[1]}":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, f"/{path}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        # Some libraries have sources for other versions of Python, which are never imported.
        return None
    directory, _, name = path.rpartition("/")
    tag = f"cpython-{python.replace('.', '')}"
    data = (
        importlib.util.MAGIC_NUMBER
        + _UNCHECKED_HASH
        + importlib.util.source_hash(source)
        + marshal.dumps(code)
    )
    return f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc", data
