"""The page at / leads a person to everything of the service, without a script or a network."""

import re

from api.http.docs_page import front_page
from tests.api.server import Running


def test_the_front_page_links_to_addresses_that_answer(steady: Running) -> None:
    page = steady.client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "script" not in page.text
    addresses = re.findall(r'<a href="([^"]+)">', page.text)
    assert {"/docs", "/current_model"} <= set(addresses)
    assert {steady.client.get(address).status_code for address in addresses} == {200}


def test_the_front_page_links_to_the_console_where_one_is_configured() -> None:
    page = front_page("<b>", "http://127.0.0.1:8001/a?b&c")
    assert '<a href="http://127.0.0.1:8001/a?b&amp;c">' in page
    assert "<b>" not in page
