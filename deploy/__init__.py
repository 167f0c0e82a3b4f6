"""How the chain is started and packed.

setup.sh  the virtual environment, from the lock file (`make setup`)
local     the whole chain in one terminal (`make run`)
"""
