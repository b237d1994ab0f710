"""Commands: run one by hand, for one key or many, from a form made of its schema, and see what comes of it."""

import streamlit as st

from buslog.console import access, acting, frame, launched, launching, markup, words
from buslog.errors import UnknownCommand, did_you_mean

acting.say()
commands = access.insights().commands()


def choose(name: str | None) -> None:
    st.query_params.from_dict({"command": name} if name else {})


asked = st.query_params.get("command")
chosen = next((command for command in commands if command.name == asked), None)
if asked and chosen is None:
    st.button(words.ALL_COMMANDS, icon=":material/arrow_back:", on_click=choose, args=(None,))
    raise UnknownCommand(
        field="command", rule="is registered", was=asked[:200],
        mend=did_you_mean(asked[:200], [command.name for command in commands]),
    )  # fmt: skip
if chosen is not None:
    st.button(words.ALL_COMMANDS, icon=":material/arrow_back:", type="tertiary", on_click=choose, args=(None,))
    markup.heading(chosen.name, before="Command")
    markup.quiet(chosen.description)
    launched.badges(chosen)
    if not chosen.is_hosted:
        st.warning(words.COMMAND_NOT_HOSTED, icon=":material/warning:")
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader(words.RUN_IT)
        launching.form(chosen)
    with right:
        launched.runs(chosen)
elif commands:
    frame.header("Commands")
    launched.cards(commands, choose)
else:
    frame.header("Commands")
    with st.container(border=True):
        markup.title(words.NO_COMMANDS, quiet=words.NO_COMMANDS_MORE)
        st.code(words.NO_COMMANDS_HOW, language="python")
