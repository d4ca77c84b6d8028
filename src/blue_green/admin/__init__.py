"""The admin address: whether to send us requests, and numbers, for other machines.

Apart from the proxy in all things, so that it answers also when the proxy has as many connections
as it may have, and when it takes none any more.
"""
