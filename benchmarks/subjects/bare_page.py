"""The least that a Streamlit page of the 50 latest failures can be: one query, one table, one button."""

import os

import psycopg
import streamlit as st

QUERY = """
    SELECT m.emitted_at, m.name, m.key, e.subscription_id, e.attempts, e.error
    FROM buslog.ended_deliveries e JOIN buslog.messages m ON m.id = e.message_id
    WHERE e.state = 'failed' AND e.latest ORDER BY e.message_id DESC LIMIT 50"""


@st.cache_resource
def connection() -> psycopg.Connection:
    return psycopg.connect(os.environ["BENCH_DSN"], autocommit=True)


st.title("Failures")
clicks = st.session_state.setdefault("clicks", 0)
if st.button("Refresh"):
    st.session_state["clicks"] = clicks = clicks + 1
st.text(f"Looked at {clicks + 1} times")
rows = connection().execute(QUERY).fetchall()
st.dataframe(
    [dict(zip(("emitted", "name", "key", "subscription", "attempts", "error"), row, strict=True)) for row in rows]
)
