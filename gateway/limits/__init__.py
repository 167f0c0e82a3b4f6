"""How much a key may ask for: streams at once, requests a minute, tokens a day; and what was used.

allowance   what a key allows, and a gateway's share of it. Pure
rate        requests a minute, by GCRA. Pure
day         which day it is for the operator, and how long it lasts. Pure
counts      what is counted of each principal by one gateway. Pure
limiter     lets a request have its place, holds it while its stream runs, books what it used

    request -> Limiter -> Counts -> a Place, or a refusal with the time to wait
"""
