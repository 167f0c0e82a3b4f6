"""The terminal chat, command ``sluice``: a person, a pipe or an operator on one side, a gateway on the other.

    app -> chat        prompts and commands          session -> answering   one answer: resume, Ctrl-C, the clock
           session     one question from a pipe                 views       how it is shown, by painting
           operators   streams and stop, at the proxy           terminal    where it is written

    gateway            the one file that touches the network; prompt and files are the other edges
    approving          may this tool run?           opening      a conversation that the gateway keeps

    pure: following stopping answer_events exit_codes   what an answer is, and what to do next
          commands conversation branch kept saved server_url   what a person may say, and to what
          sanitizing coalescing fences blocks wording   what a person sees

Everything is imported where it is first needed: it starts in under half a second.
"""
