"""The dashboard: `buslog dashboard`, `uvicorn app:app` or `streamlit run app.py`.

One file is both: Streamlit runs it for every browser as the frame, a server imports it for `app`.
"""

import streamlit as st

from buslog.console import frame

if frame.is_running():
    frame.run()
else:
    from buslog.console import server

    app = st.App(__file__, **server.options())
