"""Your permissions: who you are, what your role may do, how to get more; for admins, everybody's role."""

import streamlit as st

from buslog.console import acting, frame, people, words

acting.say()
frame.header(words.PERMISSIONS)
people.show_self()
left, right = st.columns([1, 1], gap="large")
with left:
    people.show_rights()
with right:
    people.show_everybody()
