"""The tools that run here: what a model may call beside what its client brings.

tool          a tool, what one call came to, and how long a result may be
toolbox       what the loop of turns asks of who runs them
servers       the servers of the configuration, which speak the Model Context Protocol
server        one of them: its life, with back-off, and its calls
connecting    how it is reached: a process, a function of Python, HTTP
bounded_http  the bounds of what comes over HTTP
process       a process that speaks over stdin and stdout, and its end
watcher       what ends such a process when the proxy was killed
function      the process around a function of Python
schema        whether a tool can be offered, and what is wrong with arguments
result        what a tool answered, as text
call_end      how a call ended
"""
