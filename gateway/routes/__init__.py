"""HTTP at the gateway: who may ask for what, and in which dialect it is answered.

native      the gateway's own routes: start, follow, cancel, whole answers, lists
ollama      Ollama's own API under /ollama/, for clients made for it
openai      OpenAI's API under /v1/
anthropic   Anthropic's API under /v1/messages
ai_sdk      the AI SDK's chat under /api/ui/
foreign     how clients of other makers' languages are answered: the same for each of them
aliases     other names of models; body_budget  how much of large bodies is held while they are read
responder   how a request becomes a connection with a stream and is served: the same for every route
usage       what was used
cors        which pages may ask
catalog     which models there are, and which one is meant by a request that names none

    request -> responder -> relay.hops -> a relay -> services.http.sink
"""
