"""Bytes on sockets: what both servers speak HTTP with, at either side. It knows no answers and no error codes.

client       HTTP/1.1 calls whose bytes are pushed into a reader, and the keep-alive pool behind them
connection   one socket of it: a request out, llhttp's callbacks in
sink         a chunked body written in the callback that made it, and the slow-client rule
edge         what is demanded of a request: its id, Host, Accept, body; how a failure is answered
health       /livez, /readyz and /health

    request -> edge -> a handler -> sink -> socket        client -> connection -> a reader's on_bytes
"""
