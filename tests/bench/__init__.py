"""`make bench`: the chain against two chained nginx, in the same run and alternating.

experiments ─▶ load (readers) ─▶ contender (hops) ─▶ model_server (source)
    └▶ results ─▶ limits ─▶ table, page, pictures

The load generator and the model server are C, built on the spot (native/), so that they are not what is measured.
Pure: tally, results, spread, limits, verdict.
"""
