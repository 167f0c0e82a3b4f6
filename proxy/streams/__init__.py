"""Streams: what one answer is, who reads it, and when it is over. It knows no HTTP and no model server.

stream      one answer from its acceptance until it is forgotten: states, who may end it
log         its numbered, byte-bounded events; replay; the first terminal event wins. Pure
follower    one reader of a log: a position and a sink; live or behind
registry    stream id -> stream: start, find, idempotency, and when a finished one is forgotten
permits     permits for each model, and the waiting line in front of them
fair_line   whose turn it is in that line. Pure
milestone   a moment of it for which requests may wait
timeline    the moments of a stream, and where its time went. Pure

    registry -> stream -> log -> follower -> (a dialect) -> a sink
"""
