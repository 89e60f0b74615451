"""The user-mode network, with a guest's end of TCP in Python."""
