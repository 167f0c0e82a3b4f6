"""What any process of ours needs in order to live; it knows nothing of HTTP, metrics, answers or frames.

settings    the environment, read once at start: all problems at once
command     --help, --version, --check, --healthcheck; probe asks a running one
lifecycle   main(): a Service from its first line to its last: ports, signals, drain
listening   listening sockets with their limits
log         structured lines that never make the loop wait
tasks       background tasks that are held, named and awaited
watchdog    one lazy timer for all time-outs of one owner; shared_timers: those that many wait for
wake        what wakes the one task that waits for it
version     which build this is

    environ -> settings -> lifecycle.main -> a Service of proxy, gateway or page
"""
