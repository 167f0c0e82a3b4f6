"""How a client wants its answers: one language a file, for both servers. Pure: no I/O, no clock, no logger.

dialect    the contract
seed       what everybody gets who asks for nothing else: every frame has `token` and `done`
ollama     for clients made for Ollama: NDJSON lines, or one object
ollama_request  what those clients ask, in Ollama's JSON
native     the native whole answer; its frames, which both servers speak, are in services.wire.native
gathering  the events of a whole answer, kept until its end

    numbered events of the log -> dialect.frames() -> bytes
"""
