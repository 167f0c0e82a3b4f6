"""Who may ask for what: keys, what each allows, and whose a stream is.

key_text    the form of a key, and what is kept of it: a keyed hash, never the key. Pure
keys        one key of the file, and the file itself: read whole or not at all. Pure
keyring     the keys that count now: whose is this, and may it be used? Pure
credential  which key a request brings. Pure

    keys file -> keys -> Keyring;  request -> credential -> Keyring -> Principal
"""
