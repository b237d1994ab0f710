"""A filter in an address: its text form, or where that is too long for one a saved view that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog.console import access, words
from buslog.desk import Actor
from buslog.errors import InvalidFilter
from buslog.filter import Filter

VIEW = "view"
LEFT_FOR = "tables.left_for"  # the address of the key that a button led to
LONGEST = 2000  # characters of an address that browsers, proxies and mail programs leave whole
_KEPT = "links.kept"

Params = dict[str, str | list[str]]


def params_of(filter_: Filter) -> Params:
    """The parameters that `filter_of` reads back. Raises `DatabaseUnavailable` where a view cannot be kept."""
    params = filter_.to_params()
    if len(urlencode(params, doseq=True)) <= LONGEST:
        return params
    if get_script_run_ctx(suppress_warning=True) is None:
        return {VIEW: str(access.views().keep(filter_))}
    kept: dict[str, str] = st.session_state.setdefault(_KEPT, {})  # a page is drawn often, the filter stays
    text = filter_.to_text()
    if text not in kept:
        kept.clear()
        kept[text] = str(access.views().keep(filter_))
    return {VIEW: kept[text]}


def filter_of(params: Mapping[str, str | list[str]], actor: Actor | None = None) -> Filter:
    """The filter of an address; actor: who asks, where that is not the session's. Raises `InvalidFilter`, `NotFound`
    for a view that is gone, and `RoleTooLow` for a search that would find out what is masked from whoever asks.
    """
    filter_ = _read(params)
    if (filter_.payload or filter_.error_text) and _asks_of_masked(filter_):
        access.privacy(actor).demand_sight()
    return filter_


def _asks_of_masked(filter_: Filter) -> bool:
    mask = access.insights().mask()
    return bool(mask and (filter_.error_text or mask.touches(json.loads(filter_.payload or "null"))))


def _read(params: Mapping[str, str | list[str]]) -> Filter:
    if VIEW not in params:
        return Filter.from_params(params)
    given = params[VIEW]
    texts = [given] if isinstance(given, str) else given
    if len(params) > 1 or len(texts) > 1:
        raise InvalidFilter(
            field=VIEW, rule="stands alone", was="other filters beside it", mend=words.VIEW_STANDS_ALONE
        )
    try:
        view_id = UUID(texts[0])
    except ValueError:
        raise InvalidFilter(
            field=VIEW, rule="is the id of a saved view", was=texts[0], mend="Choose a view from the list."
        ) from None
    return access.insights().view(view_id).filter
