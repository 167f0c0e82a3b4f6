"""Asking a model server: attempts and retries, deadlines, and the callback that turns its bytes into events.

producer    the one task of a stream: permit, attempts, time-outs, giving everything back
call        one call of a model server, as its reader: bytes in, events into the log, no await
retry       whether and when to ask again; pure
transport   the one place of the proxy that touches the network behind it
progress    what a stream without content waits for: the model's load, or its prompt

    producer -> transport -> call -> a provider's adapter -> streams.log -> every live follower
"""
