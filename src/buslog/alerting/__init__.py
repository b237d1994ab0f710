"""Alerts: rules that are looked at every few seconds, by one process at a time, and what is told of them to whom.

`watch` is the loop, `evaluation` one look at all rules, `notices` what is on its way, `channels` where it goes. People
change rules by `buslog.alerts`. Why so: docs/decisions/0021-alerts.md.
"""
