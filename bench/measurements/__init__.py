"""One module for each measurement, named after its key; each has a `MEASUREMENT`.

There are many of them because each figure has one; `bench.__main__` lists them in their order.
"""
