"""A server for GDB and LLDB over the debugger: the remote serial protocol.

``serve(guest)`` or ``guest.serve_gdb()``; on the command line `guestdbg gdb`. The packets are those
of "Debugging with GDB", appendix E (GDB Remote Serial Protocol).

errors              PacketError (an error reply), ServerError
packets             framing: bytes to packets and back
packet_fields       numbers and bytes in packets
thread_id           thread-ids: vCPUs as threads
register_file       the registers by number, read and written
target_description  the same for GDB, as XML
agent/              conditions and commands that GDB sends for breakpoints
breakpoint_key      what a Z packet names
brk_guards          watchpoints over BRK instructions
breakpoints         the client's breakpoints and watchpoints
stop_reply          stop events and their replies
task_threads        the tasks of a Linux guest as threads
step_flags          the flags of single steps
thread_states       which vCPUs run, which are stopped; non-stop mode
connection          the socket, and the thread that watches it while the guest runs
packet_channel      acknowledgements, replies, notifications
end_reason          how a session ended
file_io_request     a semihosting operation that the client performs
session_state       one client's session: what packet handlers act on
thread_words        the state of a vCPU in words
monitor/            the `monitor` commands
file_io             making it: the request, and waiting for the reply
handlers/           what each packet means
session             the loop: receive packets, run the guest
runtime_directory   where a socket without a path lies
unix_socket         the file of a Unix socket
listen_address      tcp:HOST:PORT and unix:PATH
first_packet        whether a connection is a debugger's
acceptor            accepts connections, one debugger at a time
server              clients come and go

These are more than fifteen modules, because the protocol has many small parts. Packets are grouped
in ``handlers``.
"""

from guestdbg.gdb.errors import ServerError
from guestdbg.gdb.server import Server, serve

__all__ = ["Server", "ServerError", "serve"]
