-- Who is and was on duty, newest first. Called by insights and duty.
SELECT who, since, until, note FROM buslog.duty ORDER BY id DESC LIMIT %(places)s
