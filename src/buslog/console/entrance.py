"""What is shown to somebody who has not logged in, or has the address of no page: pages without Streamlit and its
websocket.
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib import resources

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from buslog.console import words

LOG_IN = "/login"

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1B2230; --line: #E0E5EC; --button: #2F5BD3; }
@media (prefers-color-scheme: dark) {
  :root { --back: #11151C; --ink: #E4E8EF; --line: #2B3342; --button: #4F74E3; }
}
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--back); color: var(--ink);
       font: 15px/1.5 "Source Sans", system-ui, sans-serif; }
main { max-width: 22rem; margin: 1rem; padding: 2rem; border: 1px solid var(--line); border-radius: 8px; }
h1 { font-size: 1.35rem; margin: 1rem 0 .25rem; }
p { margin: 0 0 1.25rem; opacity: .75; }
a { display: inline-block; margin: 0 .5rem .5rem 0; padding: .5rem 1rem; border-radius: 8px; background: var(--button);
    color: #fff; text-decoration: none; font-weight: 600; }
a:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
"""


@cache
def page() -> str:
    return _page(words.LOG_IN_TITLE, words.LOG_IN_WHY, {LOG_IN: words.LOG_IN})


@cache
def nowhere() -> str:
    """For an address of no page: Streamlit would answer with a page that stays blank."""
    return _page(words.NO_SUCH_PAGE, words.NO_SUCH_PAGE_MORE, words.NO_SUCH_PAGE_LINKS)


def _page(title: str, why: str, links: dict[str, str]) -> str:
    mark = (resources.files("buslog.console") / "pictures" / "mark.svg").read_text(encoding="utf-8")
    ways = "".join(f'<a href="{address}">{escape(label)}</a>' for address, label in links.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>buslog</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>{mark}'
        f"<h1>{escape(title)}</h1><p>{escape(why)}</p>"
        f"{ways}</main></body></html>"
    )


async def log_in(_: Request) -> RedirectResponse:
    """On to the provider. The address that Streamlit signs for it is good for two minutes: so it is made now."""
    from streamlit.user_info import generate_login_redirect_url  # noqa: PLC0415

    return RedirectResponse(generate_login_redirect_url("default"), status_code=302)


ROUTE = Route(LOG_IN, log_in, methods=["GET"])
