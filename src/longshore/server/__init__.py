"""The server: everything is put together here and nowhere else.

`create_app` builds the HTTP application over a context; `serve` in `longshore.server.run` opens
the stores, binds the address and runs it until it is told to stop.
"""
