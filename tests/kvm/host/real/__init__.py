"""What the host provider must do on a real arm64 KVM: cases without pytest, for the lab.

    python -m tests.kvm.host.real [NAME...]

runs them on the machine's own ``/dev/kvm`` and prints one line of JSON for each: its name, and
null or how it failed. ``test_on_real_kvm.py`` has the lab run them.
"""
