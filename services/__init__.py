"""What stands beside the two servers.

wire        the grammar of both hops: events, frames, lines, bodies. Pure.
runtime     what any of our processes needs in order to live.
simulator   a model server without a model, for machines and tests that have none.

``wire`` and ``runtime`` do not know each other; ``proxy`` and ``gateway`` use both and meet on HTTP only.
"""
