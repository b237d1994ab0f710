"""The story of one key. Its deep link is /key?key=…."""

import streamlit as st

from buslog.console import frame
from buslog.filter import Filter, Range

key = st.query_params.get("key", "")
st.switch_page(frame.LOG, query_params=Filter(key=key or None, range=Range.ALL).to_params())
