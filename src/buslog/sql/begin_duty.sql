-- The new person's row, once the old one's has its end. Called by duty.take.
INSERT INTO buslog.duty (who) VALUES (%(who)s)
