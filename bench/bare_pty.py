#!/usr/bin/env python3
"""The limit of a terminal: echo, flood and `cat` through a bare pty in one process, with nothing between.

bare_pty.py FILE prints one line of JSON; FILE, of 100 MB, is made when it is not there.
"""

import json
import os
import pty
import statistics
import subprocess
import sys
import time

KEYS = 2000
FLOOD = "yes 1234567 | head -c 100000000"


def spawn(*command):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    return pid, master


def echo_us():
    """p50 and p99 of a key's way into the line discipline and back, microseconds."""
    pid, master = spawn("cat")
    times = []
    for _ in range(KEYS):
        begun = time.perf_counter_ns()
        os.write(master, b"x")
        while not os.read(master, 4096):
            pass
        times.append((time.perf_counter_ns() - begun) / 1000)
        time.sleep(0.002)
    os.close(master)
    os.waitpid(pid, 0)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def drain(*command):
    """Bytes, seconds and seconds of our processor time for all that a command prints."""
    pid, master = spawn(*command)
    begun, cpu, got = time.perf_counter(), time.process_time(), 0
    try:
        while piece := os.read(master, 65536):
            got += len(piece)
    except OSError:
        pass  # EIO: nobody has the other end open.
    took = time.perf_counter() - begun, time.process_time() - cpu
    os.close(master)
    os.waitpid(pid, 0)
    return got, *took


file = sys.argv[1]
if not os.path.exists(file):
    with open(file, "wb") as made:
        subprocess.run("head -c 75000000 /dev/zero | base64", shell=True, stdout=made, check=True)
p50, p99 = echo_us()
flooded, seconds, _ = drain("sh", "-c", FLOOD)
_, _, cpu = drain("cat", file)
print(
    json.dumps(
        {
            "echo_p50_us": round(p50, 1),
            "echo_p99_us": round(p99, 1),
            "flood_mb_per_s": round(flooded / seconds / 1e6, 1),
            "cat_cpu_s": round(cpu, 2),
        }
    )
)
