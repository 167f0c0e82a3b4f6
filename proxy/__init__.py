"""The server beside the model: one answer is one stream, and its truth lives here.

    handlers ──▶ streams ──▶ producer ──▶ transport ──▶ model server
        │           │            │  ▲         │ bytes, pushed
        │           │       admission │       ▼
        │           │        (permit) └── provider's adapter (pure: lines -> parts of the answer)
        │           ▼                         │
        └──▶ follower ◀── dialect ◀── stream_log (pure: numbered events, replay, the first end wins)
                │ (pure: events -> frames)
                ▼ frames, one write per chunk
              client: a gateway, or anyone on this private network

A token crosses from ``transport`` to the follower's sink inside the callback that brought it; tasks only wait.
"""
