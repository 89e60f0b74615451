"""The running lab, seen from the host: start QEMU, run commands in it, end it.

qemu            QEMU's command line
guard           cleans up if guestdbg is killed
held_signals    while QEMU is started, handlers of signals wait
channel         frames to and from the agent in the lab
local_files     which local files a command line names; where results may be written
upload          files to copy into the lab before a command
forward         ports of the host that lead to servers in the lab
remote_command  one command in the lab: its input, its output, its end
lab             ``Lab``: boots, runs commands, shuts down
"""
