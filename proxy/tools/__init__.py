"""The tools that run here: what a model may call beside what its client brings.

tool     a tool, what one call came to, and how long a result may be
toolbox  what the loop of turns asks of who runs them
"""
