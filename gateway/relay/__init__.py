"""Carrying a stream from the proxy to one client, in the callback that brought its bytes.

upstream     the one place of the gateway that touches the network behind it: calls of one proxy
proxies      which proxy is asked for what
standing     what is known of a proxy. Pure
choice       which of several is asked for a new stream. Pure
hops         opening hops: start, follow, follow again; telling the proxy that a client left
hop          one call of the proxy, as its reader
followed_hop the hop that is read: its silence, and following again once
relay        bytes of the hop in, whole frames out; backpressure
passage      how the client's frames are made: passed through, or translated
content_meter  when content passed
repeats      answers that their clients ask for again: what is left of the attempt before ends
unread       answers that hold their places and that nobody reads: what they used is asked of their proxies
gathering    where the frames of a whole answer go: nowhere
connection   what is known of one client's connection, and how many there are
timeline     its moments, and where its time went. Pure
goodput      whether an answer was as good as promised. Pure

    hops -> proxies -> upstream -> hop -> followed_hop -> relay, passage -> a sink
"""
