"""python first_next.py BINARY RUNS: milliseconds from spawning a function to its first GET …/next, median and p95."""

import os
import socket
import statistics
import subprocess
import sys
import time

binary, runs = sys.argv[1], int(sys.argv[2])
environment = {
    "PATH": os.environ["PATH"],
    "AWS_LAMBDA_FUNCTION_NAME": "measured",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "REBOND_STACK": "measured",
    "REBOND_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/measured-poll",
}


def first_next(listener):
    begin = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            line = connection.recv(4096).split(b"\r\n")[0]
            took = time.perf_counter() - begin
            if b"/runtime/invocation/next" not in line:
                sys.exit(f"{binary} asked {line!r} first")
            return took * 1000
    finally:
        process.kill()
        process.wait()


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(10)
    environment["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{listener.getsockname()[1]}"
    first_next(listener)  # the file comes from the disk
    times = sorted(first_next(listener) for _ in range(runs))
print(f"{statistics.median(times):.1f} {times[min(runs - 1, int(runs * 0.95))]:.1f}")
