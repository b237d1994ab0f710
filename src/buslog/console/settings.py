"""Streamlit's settings, given in code so that a wheel and a checkout look and behave alike."""

from __future__ import annotations

import secrets
from typing import Any

from streamlit import config
from streamlit.runtime.pages_manager import PagesManager

from buslog.console.login import Login

# What the browser is told, and what it may do. Not to be loosened by a config.toml that lies around.
_FIXED: dict[str, Any] = {
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "client.disableDataExport": True,
    "client.allowedOrigins": [],
    "browser.gatherUsageStats": False,
    "server.enableAgentApi": False,
    "server.enableXsrfProtection": True,
    "server.trustedUserHeaders": {},  # who somebody is, the login says alone
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.enableStaticServing": False,
    "server.showEmailPrompt": False,
    "server.maxUploadSize": 10,
    "runner.magicEnabled": False,
    # All garbage of the process, looked for after every run of a script: Python does it itself, when it is due.
    "runner.postScriptGC": False,
}

_SHARED: dict[str, Any] = {
    "theme.font": "sans-serif",
    "theme.baseFontSize": 15,
    "theme.codeFontSize": "0.84rem",
    "theme.headingFontSizes": ["1.7rem", "1.35rem", "1.12rem", "1rem", "0.9rem", "0.85rem"],
    "theme.headingFontWeights": [600, 600, 600, 600, 600, 600],
    "theme.baseRadius": "8px",
    "theme.buttonRadius": "8px",
    "theme.linkUnderline": False,
    "theme.showWidgetBorder": True,
    "theme.metricValueFontSize": "1.7rem",
    "theme.metricValueFontWeight": 600,
    "theme.paddingTop": "1.25rem",
    "theme.paddingBottom": "2rem",
}

_LIGHT: dict[str, Any] = {
    "primaryColor": "#2F5BD3",
    "backgroundColor": "#FFFFFF",
    "secondaryBackgroundColor": "#F5F7FA",
    "textColor": "#1B2230",
    "linkColor": "#2F5BD3",
    "borderColor": "#E0E5EC",
    "codeBackgroundColor": "#F5F7FA",
    "codeTextColor": "#2B3446",
    "dataframeBorderColor": "#E6EAF0",
    "dataframeHeaderBackgroundColor": "#F5F7FA",
    "redColor": "#C2410C",
    "orangeColor": "#B7791F",
    "greenColor": "#0B7A5B",
    "blueColor": "#2F5BD3",
    "violetColor": "#6D5BB5",
    "grayColor": "#667085",
}
_DARK: dict[str, Any] = {
    "primaryColor": "#4F74E3",
    "backgroundColor": "#11151C",
    "secondaryBackgroundColor": "#1A202B",
    "textColor": "#E4E8EF",
    "linkColor": "#8FA9F5",
    "borderColor": "#2B3342",
    "codeBackgroundColor": "#1A202B",
    "codeTextColor": "#CBD3E1",
    "dataframeBorderColor": "#262E3B",
    "dataframeHeaderBackgroundColor": "#1A202B",
    "redColor": "#F0834A",
    "orangeColor": "#E3B341",
    "greenColor": "#3CC79B",
    "blueColor": "#7C9BF2",
    "violetColor": "#A99AE6",
    "grayColor": "#98A2B3",
}


def apply(login: Login | None) -> None:
    """Before the first session. The theme gives way to one that was configured; what protects does not."""
    # A `pages/` folder is otherwise found by itself: after a restart a deep link would run a page without its frame.
    PagesManager.uses_pages_directory = False
    for option, value in _FIXED.items():
        config.set_option(option, value)
    if login:
        config.set_option("server.cookieSecret", login.cookie_secret)
    elif not config.get_option("server.cookieSecret"):
        config.set_option("server.cookieSecret", secrets.token_hex(32))
    palettes = {f"theme.{mode}.{name}": color for mode, colors in (("light", _LIGHT), ("dark", _DARK))
                for name, color in colors.items()}  # fmt: skip
    for option, value in {**_SHARED, **palettes}.items():
        if not config.is_manually_set(option):
            config.set_option(option, value)
