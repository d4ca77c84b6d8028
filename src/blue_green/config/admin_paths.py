"""Paths of the admin address, except the webhook's."""

ADMIN_PATHS = PAGE, EVENTS, READY, LIVE, METRICS = "/", "/events", "/ready", "/live", "/metrics"
