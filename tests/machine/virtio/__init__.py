"""Virtio devices: a driver in Python sets up queues in guest memory and uses the device."""
