"""Conversations that are kept: an answer's question, its history, its rows, and whoever sees to them to its end.

    routes ──▶ conversations.prepare ──▶ history ◀── store, and what is still pending
       │                                            ▲
       └─────▶ conversations.keep ──▶ kept_answer ──▶ writer ──▶ pending ──▶ store
                                        ▲    │
                 leases: taken over ────┘    └──▶ the proxy's snapshot ──▶ answer

Writing delays no token and fails no answer: what cannot be written now is pending, within bounds. The text comes from
the proxy's snapshots; tokens pass as ever.
"""
