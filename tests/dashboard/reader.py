"""A reader without a browser: one session of the dashboard, spoken to as its page does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

SECONDS = 30  # for an answer


class Reader:
    """`open` a page as a click in the menu does, `tick` as its timer does. What came is kept until the next of them."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._page = ""
        self._timer = ""
        self.messages: list[ForwardMsg] = []

    def open(self, page: str = "") -> None:
        message = BackMsg()
        message.rerun_script.page_name = page
        self._ask(message)

    def tick(self) -> None:
        message = BackMsg()
        message.rerun_script.page_script_hash = self._page
        message.rerun_script.fragment_id = self._timer
        message.rerun_script.is_auto_rerun = True
        self._ask(message)

    @property
    def figures(self) -> dict[str, str]:
        """The numbers in cards, by their labels."""
        elements = [message.delta.new_element for message in self.messages if message.HasField("delta")]
        return {one.metric.label: one.metric.body for one in elements if one.HasField("metric")}

    def _ask(self, message: BackMsg) -> None:
        self._socket.send(message.SerializeToString())
        self.messages = []
        while True:
            data = self._socket.recv(timeout=SECONDS)
            assert isinstance(data, bytes)
            came = ForwardMsg.FromString(data)
            self.messages.append(came)
            kind = came.WhichOneof("type")
            if kind == "new_session":
                self._page = came.new_session.page_script_hash
            elif kind == "auto_rerun":
                self._timer = came.auto_rerun.fragment_id
            elif kind == "script_finished" and came.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return


@contextmanager
def reader(address: str) -> Iterator[Reader]:
    """A session of its own."""
    with connect(
        f"{address.replace('http:', 'ws:')}/_stcore/stream", origin=Origin(address), max_size=None,
        subprotocols=[Subprotocol("streamlit")],
    ) as socket:  # fmt: skip
        yield Reader(socket)
