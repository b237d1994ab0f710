-- Every subscription ever registered. Called by operations.pause and operations.resume, and by insights.
SELECT s.subscription FROM buslog.subscriptions s
