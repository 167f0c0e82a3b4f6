"""The dashboard's rows, top to bottom: from whether people are served down to the processes that serve them. Pure.

glance         are people being served, how fast is the first word, how fast are the others?
time_spent     where does the time go?           (glance and this are the first screen, without scrolling)
tokens         how smoothly do words come, how many, how long?
outcomes       how do answers end?
model_side     how are the model server, its models and the waiting line?
processes      how are the gateways and proxies themselves?
keys           who uses it, and whom do limits hold back?
servers        where there are several model servers, who answers, and why not the first?
tools          what do the tools do that run in the middle of answers?
conversations  where the gateways keep them, are they written?
"""

from typing import Final

from deploy.grafana.rows import (
    conversations,
    glance,
    keys,
    model_side,
    outcomes,
    processes,
    servers,
    time_spent,
    tokens,
    tools,
)

ROWS: Final = (
    glance.ROW,
    time_spent.ROW,
    tokens.ROW,
    outcomes.ROW,
    model_side.ROW,
    processes.ROW,
    keys.ROW,
    servers.ROW,
    tools.ROW,
    conversations.ROW,
)
