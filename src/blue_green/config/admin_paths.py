"""What the admin address serves, besides the webhook."""

ADMIN_PATHS = PAGE, EVENTS, READY, LIVE, METRICS = "/", "/events", "/ready", "/live", "/metrics"
