"""A guest's file: what it is, and how it gets into a board's memory.

elf          the loadable segments of an ELF file
linux_image  the header of an arm64 Linux Image
uimage       U-Boot's legacy image format
hex_records  Intel HEX and S-records
initrd       initial RAM file systems: whether Linux can unpack one
unpacking    compressed files, unpacked within bounds
file_formats what a file is, by its magic number, and how to get at what is in it
placement    where the device tree and the initrd go in RAM
loader       a guest's file, loaded into a board
"""
