"""A model server without a model: Ollama's HTTP, at a chosen pace, with chosen faults; and the witness of its calls.

    bytes -> server (HTTP/1.1 by hand) -> simulator: routes, guard, validation, models, refusals -> scheduler (permit)
                                                                                                         |
    bytes <- server <- player (alarms) <- faulty: framing, byte_faults <- line_faults <- answers <- speech

An answer is an iterator of steps (:mod:`.steps`): wait, write, end. What makes or bends steps waits for nothing:
``prose`` words · ``speech`` what is said · ``lines`` Ollama's JSON · ``answers`` lines in time ·
``line_faults`` lines gone wrong · ``framing`` lines to HTTP bytes · ``byte_faults`` bytes gone wrong ·
``recordings`` a real Ollama's bytes. ``player`` performs steps, without a task or a timer for each token.

``script`` is the grammar of model names ("sim:tokens=200,rate=50,fault=reset,at=20"), ``faults`` the table of faults,
``models`` the names, ``manual`` prints all three. ``gojson``, ``validation`` and ``refusals`` are Ollama's judgement of
a request, ``replies`` its answers that are not streams, ``scheduler`` loading, permits and keep-alive, ``witness`` what
was asked and what was made. Only ``server``, ``player``, ``alarms``, ``scheduler`` and ``simulator`` wait.
"""
