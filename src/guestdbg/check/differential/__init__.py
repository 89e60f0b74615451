"""The differential: random programs, the same on two KVMs, compared exit by exit.

``generate`` makes the program of a seed (``program``), ``play`` plays it on a KVM and writes down
what is seen (``trace``), ``campaign`` has two KVMs play many and compares (``compare``), ``rules``
explain what differs, ``shrink`` makes what they do not explain small, and ``show`` prints it.
``inlab`` is the real KVM of the lab as one side.
"""
