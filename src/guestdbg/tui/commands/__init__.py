"""The commands of the prompt, one module for each few of them.

A module has ``COMMANDS``. They run in the thread of the guest; see ``command.Command``.

command      what a command is
points       break, tbreak, watch, log, delete, enable, disable, condition, ignore
running      continue, step, next, stepi, nexti, finish, until, reset
going_back   reverse-step and its like, goto, history, last
inspecting   print, x, display, undisplay, set
information  info
places       backtrace, frame, up, down, list, vcpu
general      help, type, quit
registry     all commands by name, and the execution of a line
completion   what can follow on a line
"""
