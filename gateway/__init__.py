"""The server beside the people: who may ask for what, and how slowly they may read.

    routes ──▶ relay.hops ──▶ relay.upstream ──▶ a proxy ──▶ (the model)
      │            │               │ bytes, pushed
      │            ▼               ▼
      └──▶ relay.relay ◀────── relay.hop: whole frames in, whole frames out; `start` and `done` rewritten on the way
                │ one write per read
                ▼
              sink ──▶ a browser, a terminal, curl

It keeps no stream state: the log lives in the proxy, so any gateway can take a stream up again.
Rooms, from the top: routes, conversations, relay, limits, guard, store. report and metrics stand above them all, which
are handed a Protocol of facts.
"""
