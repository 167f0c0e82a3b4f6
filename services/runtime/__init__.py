"""What any process of ours needs in order to live; it knows nothing of answers, events or frames.

settings        the environment, read once at start: all problems at once
command         --help, --check, --healthcheck
probe           one question to a server that may not be there
lifecycle       main(): a Service from its first line to its last: ports, signals, drain
listening       listening sockets with their limits
log             structured lines that never make the loop wait
histogram       histograms that cost the token path a bisection; the bounds of ours
stages          what both tiers' timelines are computed by
metrics         stock collectors, label policy, loop lag, the /metrics application
families        metrics as they are declared, listed for README's table
stream_metrics  the families that both servers have; stream_record is what is counted of one stream
http_metrics    requests by route; process_metrics and log_metrics: what a process and its log tell of themselves
http_server     aiohttp's server without a word of its own: what is answered where no handler is asked
health, edge    what both servers answer to probes and people; what they demand of any request
hosts, accept   which Host is this machine's; which media type a client prefers
tasks           background tasks that are held, named and awaited
sink            the chunked SSE sink that both servers write through
http_client     HTTP/1.1 calls whose bytes are pushed; http_connection is one socket of it
watchdog        one lazy timer for all limits of a stream
version         which build this is

    environ -> settings -> lifecycle.main -> a Service of proxy, gateway or simulator
"""
