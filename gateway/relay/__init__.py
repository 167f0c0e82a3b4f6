"""Carrying a stream from the proxy to one client, in the callback that brought its bytes.

upstream     the one place of the gateway that touches the network behind it
hops         opening hops: start, follow, follow again; telling the proxy that a client left
hop          one call of the proxy, as its reader
relay        whole frames in, whole frames out; backpressure; following again once
gathering    a whole answer at once, put together from its frames
connection   what is known of one client's connection, and how many there are
timeline     its moments, and where its time went. Pure
goodput      whether an answer was as good as promised. Pure

    hops -> upstream -> hop -> relay -> a sink
"""
