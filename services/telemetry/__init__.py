"""What is measured, and how a scrape shows it; the names, labels and buckets that both servers share.

exposition       the page of a scrape, written by the families themselves
metrics          the registry, the policy of model labels, event loop lag, the /metrics application
families         metrics as they are declared, listed for the documents
counter          counters cheap enough for every request
histogram        a histogram that costs the token path one bisection; the buckets of ours
timeline         the moments of a stream that both tiers note, and what can be told by them
stages           how a timeline is split into stages, rates and tokens per second
operations       the operators' side of a server: health routes, metrics port, readiness, models kept known
stream_record    what is counted and logged of one stream; stream_series: to which series it is added
stream_metrics   the families of a stream; http_metrics, process_metrics and log_metrics: those of routes,
                 of the process, and of its log

    a stream's end -> StreamRecord -> StreamMetrics -> registry -> GET /metrics
"""
