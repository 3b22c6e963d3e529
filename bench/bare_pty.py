#!/usr/bin/env python3
"""The limit of a terminal: echo and flood through a bare pty in one process, with nothing between."""

import os
import pty
import statistics
import time
import tty

KEYS = 2000
FLOOD_BYTES = 50_000_000


def spawn(command):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    return pid, master


def echo_us():
    """p50 and p99 of a key's way into the line discipline and back, microseconds."""
    pid, master = spawn(["cat"])
    times = []
    for _ in range(KEYS):
        begun = time.perf_counter_ns()
        os.write(master, b"x")
        while not os.read(master, 4096):
            pass
        times.append((time.perf_counter_ns() - begun) / 1000)
        time.sleep(0.001)
    os.close(master)
    os.waitpid(pid, 0)
    quantiles = statistics.quantiles(times, n=100)
    return statistics.median(times), quantiles[98]


def flood_mb_s():
    """Megabytes per second of 8-byte lines from `yes` through the line discipline."""
    pid, master = spawn(["yes", "1234567"])
    begun, got = time.perf_counter(), 0
    while got < FLOOD_BYTES:
        got += len(os.read(master, 65536))
    rate = got / (time.perf_counter() - begun) / 1e6
    os.close(master)
    os.waitpid(pid, 0)
    return rate


p50, p99 = echo_us()
print(f"limit: a bare pty echoes in p50 {p50:.0f} µs, p99 {p99:.0f} µs; floods {flood_mb_s():.1f} MB/s")
