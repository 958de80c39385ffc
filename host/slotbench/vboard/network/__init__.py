"""The networks of a virtual board: in process, on loopback, and one that injects faults."""
