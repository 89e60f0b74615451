"""What runs in the lab as its first process.

It uses only Python's standard library and nothing of the rest of guestdbg: in the image, this
package is a top-level package of its own (``inside``). So imports here are relative.

frames      the format of what host and lab send each other (both ends use this file)
connection  one end of a relayed TCP connection (both ends use this file)
port        the virtio serial port to the host
relay       the connections that the host relays to servers in the lab
command     one command that the host has started
system      system calls of a first process: mount, load modules, power off
agent       the main loop: does what the host asks
"""
