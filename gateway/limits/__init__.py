"""How much a key may ask for: streams at once, requests a minute, tokens a day; and what was used.

allowance   what a key allows, and a gateway's share of it. Pure
rate        requests a minute, by GCRA. Pure
day         which day it is for the operator, and how long it lasts. Pure
counts      what is counted of each principal by one gateway. Pure
sharing     the counts that all gateways share: when they are asked, and what is done while they cannot be
valkey_counts  those counts in Valkey; scripts is what it runs
place       what a request got, and how a refusal is told
usage       what was used, by day, key and model. Pure
limiter     lets a request have its place, holds it while its stream runs, books what it used

    request -> Limiter -> Sharing -> ValkeyCounts, or Counts -> a Place, or a refusal with the time to wait
"""
