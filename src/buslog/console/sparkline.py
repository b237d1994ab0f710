"""A row of small bars below a number, as one SVG image. Streamlit's own charts of numbers are Vega's: a library of a
megabyte, and some thousands of elements each, drawn anew at every refresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

import streamlit as st

HEIGHT = 40  # pixels
_GAP = 0.2  # of a bar's place


def show(values: Sequence[int], *, color: str, alt: str) -> None:
    """Each value as a bar of the same width, the largest as high as there is room. color: as CSS has it."""
    st.html(
        f'<div role="img" aria-label="{escape(alt)}" style="height:{HEIGHT}px;background:'
        f'url(data:image/svg+xml,{quote(svg(values, color))}) 0 0/100% 100% no-repeat"></div>'
    )


def svg(values: Sequence[int], color: str) -> str:
    """A bar is a line downwards: `M` goes to its top, `V` draws it. What is nought is not drawn."""
    most = max(values, default=0)
    bars = "".join(
        f"M{place + 0.5:g} {HEIGHT * (1 - value / most):.1f}V{HEIGHT}" for place, value in enumerate(values) if value
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" preserveAspectRatio="none" viewBox="0 0 {len(values) or 1} {HEIGHT}">'
        f'<path stroke="{color}" stroke-width="{1 - _GAP:g}" d="{bars}"/></svg>'
    )
