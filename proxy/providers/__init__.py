"""One model server's language each, pure.

adapter   the contract
ollama    Ollama's /api/generate and /api/chat
ollama_request  what it is asked, in its JSON

    ModelRequest -> adapter.request() -> bytes to the model server
    bytes from it -> adapter.feed(chunk, log) -> parts of the answer in the log, and at last its own last word
"""
