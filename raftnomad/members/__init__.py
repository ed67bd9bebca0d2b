"""The serf port: which servers there are, and how the first of them agree on being one cluster.

`record.py` is what a server says of itself, `table.py` what it knows of the others, `founding.py` the decisions of the
first agreement, `standing.py` what of it is durable and `own.py` how it is spoken; `service.py` holds the loops,
`joining.py` finds the first other server, `channel.py` and `port.py` are the two ends of a connection.
"""
