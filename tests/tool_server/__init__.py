"""Servers of tools that break rules which the `mcp` package keeps: over stdin and stdout, and over HTTP.

faults     what is in their messages: each fault is a tool
__main__   over stdin and stdout
over_http  over HTTP
"""
