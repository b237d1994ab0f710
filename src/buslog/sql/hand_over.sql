-- The duty of a person ends, with a note to the next. Nothing when somebody else, or nobody, is on duty. Called by duty.hand_over.
UPDATE buslog.duty SET until = clock_timestamp(), note = %(note)s WHERE until IS NULL AND who = %(who)s RETURNING since
