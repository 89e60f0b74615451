"""What the packets mean: one module for each group of packets.

Every module has ``HANDLERS``: from the name of a packet (its word or its letter) to a function that
takes the session and what follows the name (see ``session_state.Handler``). A module whose packets
are announced in qSupported has ``FEATURES``, or ``features(session)`` where they depend on the
guest. ``registry`` lists the modules.

reverse      bs, bc: going back
connection   qSupported, acknowledgements, extended mode
registers    g, G, p, P
memory       m, M, x, X
breakpoints  Z, z
threads      H, T, the list of threads
resume       c, s, vCont, and ?
nonstop      QNonStop, vStopped, vCtrlC
file_io      F: the replies to semihosting operations
xfer         qXfer: target description, memory map, threads; qOffsets
files        vFile
lifecycle    attach, detach, kill, restart
monitor      qRcmd
lldb         packets that only LLDB sends
qemu         packets of QEMU's gdbstub
registry     all of them by their names

There are more than fifteen modules because there are so many groups.
"""
