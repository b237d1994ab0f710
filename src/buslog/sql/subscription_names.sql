-- Every subscription ever registered. Called by operations.pause and operations.resume.
SELECT s.subscription FROM buslog.subscriptions s
