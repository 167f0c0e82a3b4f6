"""Anthropic's API at the gateway, under /v1/messages: answers, and how many tokens a conversation may have."""

from aiohttp import web

from gateway.routes.foreign import ForeignResponder
from services.dialects import anthropic_request
from services.dialects.anthropic import AnthropicEvents, AnthropicMessage
from services.dialects.dialect import DialectName
from services.dialects.estimate import input_tokens
from services.dialects.foreign import Language
from services.http import edge

ANTHROPIC = Language(DialectName.ANTHROPIC, anthropic_request.messages, AnthropicEvents, AnthropicMessage)


class AnthropicRoutes:
    """What the gateway answers in Anthropic's shapes."""

    def __init__(self, foreign: ForeignResponder) -> None:
        self._foreign = foreign

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve PROTOCOL.md's rows under /v1/messages."""
        router.add_post("/v1/messages", self._foreign.answering(ANTHROPIC))
        router.add_head("/v1/messages", self.greet)
        router.add_post("/v1/messages/count_tokens", self.count)

    async def greet(self, _request: web.Request) -> web.StreamResponse:
        """HEAD /v1/messages: Claude Code looks whether somebody is there."""
        return web.Response()

    async def count(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/messages/count_tokens: the estimate that an answer begins with; no model is asked."""
        counted = anthropic_request.counted(await self._foreign.body_of(request))
        return edge.json_response({"input_tokens": input_tokens(counted)})
