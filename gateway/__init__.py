"""The server beside the people: who may ask for what, and how slowly they may read.

    handlers ──▶ upstream ──▶ a proxy ──▶ (the model)
        │            │ bytes, pushed
        │            ▼
        └──▶ relay: whole frames in, whole frames out; `start` and `done` rewritten on the way
                │ one write per read
                ▼
              sink ──▶ a browser, a terminal, curl

    catalog   which models there are, and which one is meant by a request that names none
    capabilities  what a model can do, where the list may not say it all
    cors      which pages may ask
    report    the one line and the numbers of a connection

It keeps no stream state: the log lives in the proxy, so any gateway can take a stream up again.
"""
