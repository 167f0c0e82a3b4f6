"""What each route demands of a key: a gateway with a route that is not in the table does not start. Pure."""

from typing import Final

from gateway.guard.scopes import ANY_KEY, Demand, Scope

ACCESS: Final[dict[str, Demand]] = {
    "/api/chat/stream": Scope.CHAT,
    "/api/generate/stream": Scope.CHAT,
    "/api/chat": Scope.CHAT,
    "/api/chat/stream/{id}": Scope.CHAT,
    "/api/chat/stream/{id}/cancel": Scope.CHAT,
    "/api/chat/stream/{id}/tools/{call_id}": Scope.TOOLS,
    "/api/chat/streams": Scope.STREAMS,
    "/api/conversations": Scope.CONVERSATIONS,
    "/api/conversations/events": Scope.CONVERSATIONS,
    "/api/conversations/export": Scope.CONVERSATIONS,
    "/api/conversations/import": Scope.CONVERSATIONS,
    "/api/conversations/{id}": Scope.CONVERSATIONS,
    "/api/conversations/{id}/messages": Scope.CONVERSATIONS,
    "/api/models": Scope.MODELS,
    "/api/usage": ANY_KEY,  # one's own; everybody's with the scope `admin`
    "/api/beacon": None,  # sent while a page closes, when no header can be; it says a number
    "/ollama/": None,  # that something is here
    "/ollama/api/chat": Scope.CHAT,
    "/ollama/api/generate": Scope.CHAT,
    "/ollama/api/embed": Scope.CHAT,
    "/ollama/api/embeddings": Scope.CHAT,
    "/ollama/api/tags": Scope.MODELS,
    "/ollama/api/ps": Scope.MODELS,
    "/ollama/api/version": Scope.MODELS,
    "/ollama/api/show": Scope.MODELS,
    "/": None,  # that something is here
    "/v1/chat/completions": Scope.CHAT,
    "/v1/responses": Scope.CHAT,
    "/v1/models": Scope.MODELS,
    "/v1/models/{id}": Scope.MODELS,
    "/v1/messages": Scope.CHAT,
    "/v1/messages/count_tokens": Scope.CHAT,
    "/api/ui/chat": Scope.CHAT,
    "/api/ui/chat/{id}/stream": Scope.CHAT,
    "/api/ui/chat/{id}/stop": Scope.CHAT,
    "/livez": None,
    "/readyz": None,
    "/health": None,
}
