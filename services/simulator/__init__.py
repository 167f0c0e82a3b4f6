"""A model server without a model: Ollama's HTTP, at a chosen pace, with chosen faults; and the witness of its calls.

    bytes -> server (HTTP/1.1 by hand) -> simulator (routes) -> validation -> models (which name) -> scheduler (permit)
                                                                                                        |
    bytes <- server <- player (timers) <- framing + faults <- answers (lines) <- speech (what is said) <-'

An answer is an iterator of steps (:mod:`.steps`): wait, write, end. Everything that makes or bends steps is pure:
``prose`` words · ``speech`` what is said · ``lines`` Ollama's JSON · ``answers`` lines in time ·
``line_faults`` lines gone wrong · ``framing`` lines to HTTP bytes · ``byte_faults`` bytes gone wrong ·
``recordings`` a real Ollama's bytes. ``player`` performs steps with one timer, no task, for each stream.

``script`` is the grammar of model names ("sim:tokens=200,rate=50,fault=reset,at=20"), ``models`` the names,
``gojson`` and ``validation`` Ollama's judgement of a body, ``replies`` its answers that are not streams,
``scheduler`` loading, permits and keep-alive, ``witness`` what was asked and what was made.
``server`` and ``player`` alone touch sockets and clocks.
"""
