"""The devices of the board that are not virtio, and those that users write.

pl011        the UART
pl031        the real-time clock
pl061        the general-purpose I/O with the power button
cfi_flash    the commands of a bank of flash
flash        both banks of the board, and a file for the second
fw_cfg       what a firmware learns about the machine
mmio_device  devices of your own
virt_devices the devices of QEMU's board, and those that a guest misses here
"""
