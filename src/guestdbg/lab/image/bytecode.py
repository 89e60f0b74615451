"""Python's compiled form of a source, made here for the Python inside.

Compiling takes most of a command's start under emulation. It can be done here where this Python
is of the same version; elsewhere the first command in a lab compiles, and later ones find it.
"""

import importlib.util
import marshal
import sys
import warnings

# PEP 552: the file is tied to its source by a hash, which is not checked at each import.
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def compiled(path: str, source: bytes, python: str) -> tuple[str, bytes] | None:
    """(path, contents) of the .pyc that belongs to the source at ``path`` inside.

    None if this Python is not version ``python`` ("3.11"), or the source does not compile.
    """
    if not path.endswith(".py") or python != f"{sys.version_info[0]}.{sys.version_info[1]}":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, f"/{path}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        # Some libraries keep sources for other versions that are never imported.
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
