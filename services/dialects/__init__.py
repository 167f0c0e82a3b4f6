"""How a reader wants its events: one dialect a file, pure. Native, which both servers speak, is in services.wire.

dialect   the contract
seed      what everybody gets who asks for nothing else: every frame has `token` and `done`

    numbered events of the log -> dialect.frames() -> bytes
"""
