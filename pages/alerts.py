"""Who is told when something is wrong: the rules, what they found, what was told. History of one: /alerts?rule=…."""

import streamlit as st

from buslog.console import access, acting, alerting, frame, markup, words
from buslog.errors import InvalidFilter

acting.say()
insights = access.insights()
rule = st.query_params.get("rule")
before = st.query_params.get("before")
if before is not None and not (before.isascii() and before.isdecimal() and len(before) < 19):  # noqa: PLR2004
    raise InvalidFilter(field="before", rule="is the number of an alert", was=before, mend="Go back to the newest.")

with frame.header(words.ALERTS):
    alerting.new_button()
    frame.refresh()
rules = insights.alert_rules()
look = insights.last_look()
alerting.show_look(look, rules)
alerting.show_rules(rules, look)
with st.container(border=True):
    alerting.show_channels()
st.subheader(words.HISTORY_OF.format(rule=markup.literal(rule)) if rule else words.HISTORY)
alerting.show_history(
    insights.alerts(rule=rule, before=int(before) if before else None, places=alerting.SHOWN + 1), rule=rule,
    before=before,
)  # fmt: skip
