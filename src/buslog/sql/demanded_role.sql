-- The highest role that the commands of these subscriptions demand; NULL: none. Called by operations.
SELECT buslog.demanded_role(%b::text[])::text
