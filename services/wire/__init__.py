"""The grammar of both hops, pure: no I/O, no clock, no logger.

events    what can happen in an answer
ends      every way in which it can end, and a request for one be refused
event_data  what an event says, as the JSON object of its frame
bare_status  what a bare HTTP status means
native    events -> native frames, which the proxy writes; and frames as the gateway reads them
native_events  native frames -> events, for a gateway that answers in another dialect
sse       server-sent events: encoder, decoder, response headers, heartbeat
json_text JSON that strangers wrote: half a surrogate pair in it
ids       stream ids, events' numbers, and the position that a reader comes back with
ndjson    the lines of a model server
model_names  one name for the many spellings of a model, and the lists in which they stand
request   what a model is asked, and the rules between its fields
bodies    our JSON of it: fields, types and limits
server_tools  which tools of the server a chat asks for
body_writer  and as it is written for the hop
said_messages  what an answer adds to its conversation
pictures  which pictures are passed on
hop       the version of the grammar between gateway and proxy
trace     W3C trace context, passed on
validation  a stranger's object as a declared model, or a refusal in our words
schema    whether a value is a JSON schema

    model server bytes -> ndjson -> (a provider's adapter) -> events -> native / another dialect -> sse bytes
"""
