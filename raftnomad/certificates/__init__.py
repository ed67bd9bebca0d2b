"""Certificates of servers, clients and the command line.

`roles.py` reads from a certificate who may speak as what, `settings.py` makes connections' contexts of the `tls`
block, `authority.py` makes the files (`tls ca create`, `tls cert create`). Nothing is imported here, so that a
connection without TLS does not pay for the library that makes certificates.
"""
