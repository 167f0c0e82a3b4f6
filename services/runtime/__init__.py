"""What any process of ours needs in order to live; it knows nothing of answers, events or frames.

settings     the environment, read once at start: all problems at once, by name
command      --help, --check, --healthcheck of a server
lifecycle    main(): one service from its first line to its last: sockets, signals, drain
listening    listening sockets with their limits
log          structured lines that never make the loop wait
histogram    histograms that cost the token path a list append
metrics      the stock collectors, loop lag, label policy, and the /metrics application
tasks        background tasks that are held, named and awaited
sink         the chunked SSE sink that both servers write through
http_client  HTTP/1.1 calls whose bytes are pushed, not awaited
watchdog     one lazy timer for all limits of a stream
version      which build this is

    environ -> settings -> lifecycle.main -> a Service of proxy, gateway or simulator

Imported by the servers and by deploy/; imports nothing of ours.
"""
