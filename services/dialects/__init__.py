"""How a client wants its answers: one language a file, for both servers. Pure: no I/O, no clock, no logger.

dialect    the contract
seed       what everybody gets who asks for nothing else: every frame has `token` and `done`
ollama     for clients made for Ollama: NDJSON lines, or one object
ollama_request  what those clients ask, in Ollama's JSON
native     the native whole answer; its frames, which both servers speak, are in services.wire.native
foreign    what the languages of other makers share: ids, refusals, what a client wants
history    how a conversation in one of them is read
estimate   how many tokens a conversation may have
seals      a provider's signatures on their way through a client and back
forced_tool  a tool that must be called, where a model server knows no such order
openai_chat, openai_chat_request  OpenAI's chat completions
openai_responses, openai_response, openai_responses_request  OpenAI's responses: events, objects, what is asked
anthropic, anthropic_request, anthropic_tools  Anthropic's messages
ai_sdk, ai_sdk_request  the UI message stream of the AI SDK
openai_parts, openai_error  what both of OpenAI's have: tools, forms, efforts; failures
gathering  the events of a whole answer, kept until its end

    numbered events of the log -> dialect.frames() -> bytes
"""
