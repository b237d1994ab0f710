-- Two who take the duty at one moment take it one after the other. Called by duty.
LOCK TABLE buslog.duty IN SHARE ROW EXCLUSIVE MODE
