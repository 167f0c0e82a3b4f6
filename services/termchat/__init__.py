"""The terminal chat, command ``sluice``: a person, a pipe or an operator on one side, a gateway on the other.

    program      what is asked -> chat       prompts, commands, one answer after another
                                  session    one answer, shown and told the end of; signals
                                  operators  streams and stop, at the proxy
    answering    one answer: lines, breaks, Ctrl-C, the clock      gateway  the one file that touches the network
    pure         following stopping facts exits    what an answer is, and what to do next
                 commands conversation options     what a person may say
                 harmless pacing fences phrases    what a person sees
    views        how an answer is shown            terminal  where it is written

Everything is imported where it is first needed: it starts in under half a second.
"""
