"""A server for GDB and LLDB, over the debugger.

``serve(guest)`` or ``guest.serve_gdb()``; `guestdbg gdb` on the command line. ``packets`` is the
framing alone, ``session`` what one client says and wants, ``groups`` what each packet means,
``server`` the sockets.
"""

from guestdbg.gdb.errors import ServerError
from guestdbg.gdb.server import Server, serve

__all__ = ["Server", "ServerError", "serve"]
