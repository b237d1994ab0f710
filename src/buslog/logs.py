"""How a process logs: text for people, or one JSON object a line; and which message a record was written for."""

from __future__ import annotations

import json
import logging

from pydantic_core import to_jsonable_python

from buslog.config import settings
from buslog.execution import current_message
from buslog.masking import Mask

FIELDS = ("message_id", "subscription", "attempt", "correlation_id")
TEXT = "%(asctime)s %(name)s %(levelname)s %(message)s"
OTHERS = ("streamlit", "uvicorn", "websockets")  # libraries that bring handlers of their own


class CurrentMessage(logging.Filter):
    """Gives what a subscriber logs the fields `FIELDS` of the message it is handling. Belongs on a handler: a logger's
    own filters do not see what the loggers below it write.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        message = current_message.get()
        if message is not None:
            values = (str(message.id), message.subscription, message.attempt, str(message.correlation_id))
            for field, value in zip(FIELDS, values, strict=True):
                record.__dict__.setdefault(field, value)
        return True


class Masking(logging.Filter):
    """Hides the values of masked fields of the message that is being handled in what is logged meanwhile, its traceback
    included. Belongs on a handler, like `CurrentMessage`.
    """

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        message = current_message.get()
        if message is not None and self._mask:
            payload = to_jsonable_python(message.payload, fallback=str)
            veil = self._mask.of(json.dumps(payload, ensure_ascii=False))
            record.msg, record.args = veil.text(record.getMessage()), None
            if record.exc_info:
                record.exc_text = veil.text(logging.Formatter().formatException(record.exc_info))
                record.exc_info = None
        return True


class _Text(logging.Formatter):
    """The line, and at its end the fields that the record has."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        told = [f"{field}={getattr(record, field)}" for field in FIELDS if getattr(record, field, None) is not None]
        return super().formatMessage(record) + (f" [{' '.join(told)}]" if told else "")


def set_up(*, as_json: bool, worker: str | None = None) -> None:
    """Log to stderr from INFO on. `worker`: its name, on every JSON line."""
    handler = logging.StreamHandler()
    handler.setFormatter(_json(worker) if as_json else _Text(TEXT))
    handler.addFilter(CurrentMessage())
    handler.addFilter(Masking(Mask(settings().mask_fields or ())))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def are_json() -> bool:
    """Whether this process was set up to log JSON."""
    return any(type(handler.formatter).__module__.startswith("pythonjsonlogger") for handler in logging.root.handlers)


def take_in_others() -> None:
    """What libraries print by handlers of their own goes through ours."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".", 1)[0] in OTHERS and isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True


def _json(worker: str | None) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415  (only who asks for it)

    return JsonFormatter(
        ("levelname", "name", "message"),
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
        timestamp="time",
        static_fields={"worker": worker} if worker else {},
    )
