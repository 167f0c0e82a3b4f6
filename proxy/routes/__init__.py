"""HTTP at the proxy: each route reads its request, joins a stream, and waits while callbacks carry the tokens.

streams     the proxy's own routes: start, follow, stop; a gateway's word that its client left
ollama      the proxy as an Ollama: its routes in its shapes
responder   how a request becomes a stream's follower and is answered: the same for every route
headers     who asks, in which dialect, from which position
pages       what lists and snapshots show of a stream

    request -> responder -> streams.registry -> a follower's frames -> services.http.sink
"""
