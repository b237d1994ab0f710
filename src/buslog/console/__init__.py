"""What the dashboard's pages share. A page is widgets → one read → render → one operation; the rest is here."""
