"""The serf port: which servers there are, and how the first of them agree on being a cluster.

`record.py` is what a server says of itself, `table.py` what a server knows of the others, `founding.py` the decisions
of the first agreement, `standing.py` what of it is durable, `service.py` the sockets and the loops.
"""
