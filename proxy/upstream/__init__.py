"""Asking a model server: attempts and retries, deadlines, and the callback that turns its bytes into events.

producer    the one task of a stream: permit, attempts, time-outs, giving everything back
call        one call of a model server, as its reader: bytes in, events into the log, an outcome told; no await
retry       who is asked next, and when; pure
turns       what the turns of an answer add up to; pure
server      a model server and all that is kept of it; pools of equals, and routes of them
servers     all of them: which of them a model's name leads to, and who answers
walk        one stream's way along its route: whom it asks, in whose line it stands
pool, condition, breaker, retry_budget, ending, fallback  what is decided on the way; pure
catalog     their lists as one; all_models, the same for metrics
keys, key_checks  their keys, and whether they are good
dialling    how each is reached; config_file, where that is said
warming     loads what was asked for while it was not in memory
transport   the one place of the proxy that touches the network behind it
models      what a model server lists, and what of it is in memory
progress    what a stream without content waits for: the model's load, or its prompt
wedge       when a loaded model answers nobody (pure), and wedge_watch, which notices and may unload it

    producer -> transport -> call -> a provider's adapter -> streams.log -> every live follower
"""
