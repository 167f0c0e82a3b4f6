"""The configuration file (sluice.toml): which model servers there are, and who is asked for which model. Pure.

reading   its text -> Config, or every problem with its line
tables    what each table may hold, and the words for what it may not
places    on which line a table or a key stands
config    what was read: servers, orders of servers, and their defaults
tool_servers  whose tools run here
tool_tables   what the file may say of them
server_url  where a server is, and whether that is on the operator's own network
"""
