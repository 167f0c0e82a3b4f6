"""A process that SIGTERM does not end."""

import signal
import threading

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("deaf to signals", flush=True)
threading.Event().wait()
