"""The grammar of both hops, pure: no I/O, no clock, no logger.

events    what can happen in an answer, and every way in which it can end
native    events <-> native frames: the proxy writes them, the gateway reads them
sse       server-sent events: encoder, decoder, response headers, heartbeat
ndjson    the lines of a model server
chat      request bodies: what each side takes, its limits, and what a model server gets

    model server bytes -> ndjson -> (a provider's adapter) -> events -> native / another dialect -> sse bytes
"""
