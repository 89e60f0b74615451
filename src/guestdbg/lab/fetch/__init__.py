"""Downloads what the lab is made of: Debian packages for arm64, and Python wheels.

debian_archive  Debian packages over HTTPS, for a machine without apt
apt             Debian packages by apt, with a state of its own
packages        which Debian packages the lab needs, and how to get them
wheels          what guestdbg needs from PyPI, by pip
"""
