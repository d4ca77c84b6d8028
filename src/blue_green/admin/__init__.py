"""The admin address: the status page, readiness for load balancers, metrics, and the webhook.

It shares nothing with the proxy, so that it still answers when the proxy has reached its connection
limit, or has stopped accepting connections.
"""
