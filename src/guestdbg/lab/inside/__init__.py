"""What runs inside the lab as its first process. Only Python's library is used, and nothing of
the rest of guestdbg: in the image this package lies by itself."""
