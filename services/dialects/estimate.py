"""How many tokens a conversation may have, where only the model could count them. Pure."""

from dataclasses import replace
from typing import Final

from services.wire import body_writer
from services.wire.request import ChatRequest

BYTES_PER_TOKEN: Final = 4
"""Of English; an estimate is for deciding when to shorten a conversation, and never for a bill."""
TOKENS_PER_IMAGE: Final = 1000


def input_tokens(request: ChatRequest) -> int:
    """Return an estimate of the tokens of its messages and tools, at least 1."""
    images = sum(len(message.images or ()) for message in request.messages)
    texts = tuple(replace(message, images=None) for message in request.messages)
    written = body_writer.written(ChatRequest(messages=texts, tools=request.tools))
    return max(1, -(-len(written) // BYTES_PER_TOKEN)) + images * TOKENS_PER_IMAGE
