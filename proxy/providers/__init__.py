"""One model server's language each, pure.

adapter   the contract: a question, the call's outcome
provider  what a kind of server is beside its calls; kinds has them all
ollama    Ollama's /api/generate and /api/chat
openai    OpenAI's /chat/completions, and whoever speaks it; groq with its own words
anthropic, gemini   theirs
NAME_request, NAME_refusal   what each is asked, in its JSON; what its refusals mean
event_stream, calls_in_parts, history, refusals   what the clouds share

    Question -> adapter.request() -> bytes to the model server
    bytes from it -> adapter.feed(chunk, log) -> parts of the answer in the log, and at last its own last word
"""
