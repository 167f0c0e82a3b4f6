"""The server beside the model: the source of truth for each answer.

    routes ──▶ streams.registry ──▶ upstream.producer ──▶ upstream.transport ──▶ model server
      │              │                   │  ▲                   │ bytes, pushed
      │              │         streams.permits                  ▼
      │              ▼            (permit) └── upstream.call ── a provider's adapter (pure: bytes -> events)
      └──▶ streams.follower ◀── a dialect ◀── streams.log (pure: numbered events, replay, the first end wins)
                │ (pure: events -> frames)
                ▼ frames, one write per chunk
              client: a gateway, or anyone on this private network

A token crosses from ``upstream.transport`` to the follower's sink inside the callback that brought it; tasks only wait.
Rooms, from the top: routes, upstream, providers, streams; each imports from those below it only.
"""
