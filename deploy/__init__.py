"""How the chain is started and packed.

setup.sh   the virtual environment, from a lock file: the runtime's for `make run`, the development one for the rest
local      the whole chain in one terminal (`make run`), as plan decides it and processes runs it
prometheus, grafana   what operators are told, and what they look at

    plan, processes -> local
"""
