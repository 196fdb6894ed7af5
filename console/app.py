"""The application: pages, their JSON and CSV, login, deeds, reports and static files."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import structlog
from anyio import to_thread
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from console.access import COOKIE
from console.api_client import ApiAway, ChangeRefused
from console.deeds import Deed, FormRefused, read_form
from console.guard import REPORT_POLICY, Guard
from console.pages import Console, render_page, render_problem, set_cookie
from console.render import STATIC, as_csv, as_json
from console.screen import BadParameter, NotFound, Params, Reading, Screen, Unreadable
from shared.contracts.http import ContractBroken

_MAX_FORM_BYTES = 16 * 1024
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".txt": "text/plain",
    ".svg": "image/svg+xml",
}
_HOME = "/now"
_LONGEST_ADDRESS = 500
_log = structlog.get_logger()
Endpoint = Callable[[Request], Awaitable[Response]]


class _Number(Convertor[int]):
    """A number that a row may have; Starlette's own fails for one of five thousand digits."""

    regex = "[0-9]{1,16}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


def create_app(console: Console) -> Guard:
    """The application behind its guard."""
    routes = [
        Route("/", _home),
        Route("/livez", _alive),
        Route("/login", _login_page(console), methods=["GET"]),
        Route("/login", _login(console), methods=["POST"]),
        Route("/logout", _logout(console), methods=["POST"]),
        Route("/deeds/{name}", _carry_out(console), methods=["POST"]),
        Route("/reports/candidate/{version}", _report(console, _candidate_report)),
        Route("/reports/run/{run_id:number}", _report(console, _run_report)),
        Route("/reports/drift/{name}", _report(console, _drift_report)),
        Route("/reports/replay/{name}", _report(console, _replay_report)),
    ]
    routes += [
        Route(f"/static/{path.name}", _static(path), methods=["GET"])
        for path in sorted(STATIC.iterdir())
        if path.suffix in _TYPES
    ]
    for screen in console.screens:
        for suffix, answer in ((".json", _as_json), (".csv", _as_csv), ("", _as_page)):
            endpoint = _screen(console, screen, answer)
            routes.append(Route(f"{screen.path}{suffix}", endpoint, methods=["GET"]))
    handlers: Any = {
        HTTPException: _http_problem(console),
        Exception: _broken(console),
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, console.hosts)


async def _home(_request: Request) -> Response:
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


async def _alive(_request: Request) -> Response:
    return Response("alive\n", media_type="text/plain")


def _static(path: Path) -> Endpoint:
    async def file(_request: Request) -> Response:
        headers = {"Cache-Control": "no-cache"}
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=headers)

    return file


# Screens.


Answering = Callable[[Console, Request, Screen, Any, Reading], Response]


def _screen(console: Console, screen: Screen, answer: Answering) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if not console.access.may_read(request.headers.get("cookie", "")):
            return _to_login(request)
        given = {**dict(request.query_params), **dict(request.path_params)}
        params = Params({name: str(value) for name, value in given.items()})

        is_logged_in = console.access.is_logged_in(request.headers.get("cookie", ""))

        def made() -> Response:
            reading = Reading(console.sources, is_logged_in=is_logged_in)
            return answer(console, request, screen, screen.read(reading, params), reading)

        try:
            return await to_thread.run_sync(made, limiter=console.pages)
        except BadParameter as error:
            return render_problem(console, request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except NotFound as error:
            return render_problem(console, request, HTTPStatus.NOT_FOUND, str(error))
        except Unreadable as error:
            return render_problem(console, request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    return endpoint


def _as_json(
    _console: Console, _request: Request, _screen: Screen, view: Any, reading: Reading
) -> Response:
    return Response(as_json(view, reading.troubles), media_type="application/json")


def _as_csv(
    _console: Console, _request: Request, screen: Screen, view: Any, _reading: Reading
) -> Response:
    name = screen.template.partition(".")[0]
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(as_csv(screen.rows(view)), media_type="text/csv", headers=headers)


def _as_page(
    console: Console, request: Request, screen: Screen, view: Any, reading: Reading
) -> Response:
    params = Params({key: str(value) for key, value in request.path_params.items()})
    title = screen.name if screen.title is None else screen.title(view)
    more = {
        "screen": screen,
        "title": title,
        "view": view,
        "troubles": reading.troubles,
        "command": screen.command(Params({**dict(request.query_params), **params.given})),
        "now_us": reading.now_us,
    }
    return render_page(console, request, screen.template, more)


# Login.


def _to_login(request: Request) -> Response:
    if request.url.path.endswith((".json", ".csv")):
        text = "this console needs a session: log in at /login with `understudy token console`\n"
        return Response(text, HTTPStatus.UNAUTHORIZED, media_type="text/plain")
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # a header of the answer, which browsers bound
    target = target if len(target) <= _LONGEST_ADDRESS else request.url.path[:_LONGEST_ADDRESS]
    return RedirectResponse(f"/login?{urlencode({'next': target})}", HTTPStatus.SEE_OTHER)


def _own_path(text: str) -> str:
    """A path of this console; the first page for anything else."""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text
    if not is_ours or not text.isprintable() or len(text) > _LONGEST_ADDRESS:
        return _HOME
    return text


def _login_page(console: Console) -> Endpoint:
    async def page(request: Request) -> Response:
        target = _own_path(request.query_params.get("next", _HOME))
        more = {"title": "Log in", "next": target, "problem": None}
        return render_page(console, request, "login.html", more)

    return page


def _login(console: Console) -> Endpoint:
    async def login(request: Request) -> Response:
        form = await _form(request)
        header = request.headers.get("cookie", "")
        target = _own_path(form.get("next", _HOME))
        problem = console.access.refusal_of_form(header, form.get("form_token", ""))
        if problem is None:
            problem = console.access.refusal_of_token(form.get("token", "").strip())
        if problem is not None:
            more = {"title": "Log in", "next": target, "problem": problem}
            return render_page(console, request, "login.html", more, HTTPStatus.FORBIDDEN)
        response = RedirectResponse(quote(target, safe="/?&=%"), HTTPStatus.SEE_OTHER)
        set_cookie(request, response, console.access.log_in(header))
        _log.info("console_login")
        return response

    return login


def _logout(console: Console) -> Endpoint:
    async def logout(request: Request) -> Response:
        form, header = await _form(request), request.headers.get("cookie", "")
        problem = console.access.refusal_of_form(header, form.get("form_token", ""))
        if problem is not None:
            return render_problem(console, request, HTTPStatus.FORBIDDEN, problem)
        console.access.log_out(header)
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    return logout


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; each once, the first of a name counts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a form")
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _MAX_FORM_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too large")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=64)
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "this is not a form") from error
    return dict(reversed(pairs))


# Changes that people make.


def _carry_out(console: Console) -> Endpoint:
    async def carry_out(request: Request) -> Response:
        deed = console.deed(request.path_params["name"])
        if deed is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such change")
        header, form = request.headers.get("cookie", ""), await _form(request)
        if not console.access.may_read(header):
            return _to_login(request)
        problem = console.access.refusal_of_form(header, form.get("form_token", ""))
        if problem is not None:
            return _result(console, request, deed, problem, HTTPStatus.FORBIDDEN)
        try:
            operator, filled = read_form(deed, form)
            api = console.sources.api
            done = await to_thread.run_sync(
                lambda: deed.carry_out(api, operator, filled), limiter=console.changes
            )
        except FormRefused as error:
            return _result(console, request, deed, str(error), HTTPStatus.UNPROCESSABLE_ENTITY)
        except ChangeRefused as error:
            return _result(console, request, deed, str(error), HTTPStatus.CONFLICT)
        except (ApiAway, ContractBroken) as error:
            return _result(console, request, deed, str(error), HTTPStatus.BAD_GATEWAY)
        console.sources.reads.forget()
        _log.info("console_change_made", change=deed.name, person=operator.person)
        return _result(console, request, deed, done, HTTPStatus.OK)

    return carry_out


def _result(
    console: Console, request: Request, deed: Deed, text: str, status: HTTPStatus
) -> Response:
    more = {
        "title": deed.button,
        "text": text,
        "is_done": status is HTTPStatus.OK,
        "back": _page_before(request),
        "command": deed.command,
    }
    return render_page(console, request, "result.html", more, status)


def _page_before(request: Request) -> str:
    try:
        return _own_path(urlsplit(request.headers.get("referer", "")).path)
    except ValueError:
        # such as a bracket without its other half
        return _HOME


# Reports of the scheduler: whole pages, served in a sandbox without scripts or an origin.


Finder = Callable[[Console, Request], Path | None]


def _candidate_report(console: Console, request: Request) -> Path | None:
    return console.sources.files.report_of_candidate(request.path_params["version"])


def _run_report(console: Console, request: Request) -> Path | None:
    return console.sources.files.report_without_candidate(request.path_params["run_id"])


def _drift_report(console: Console, request: Request) -> Path | None:
    return console.sources.files.drift_report(request.path_params["name"])


def _replay_report(console: Console, request: Request) -> Path | None:
    return console.sources.files.replay_report(request.path_params["name"])


def _report(console: Console, find: Finder) -> Endpoint:
    async def report(request: Request) -> Response:
        if not console.access.may_read(request.headers.get("cookie", "")):
            return _to_login(request)
        try:
            path = await to_thread.run_sync(lambda: find(console, request), limiter=console.pages)
        except Exception as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such report") from error
        if path is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "this report is not kept any more")
        # Streamed, so that a large report needs no memory.
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)

    return report


# Errors.


def _http_problem(console: Console) -> Callable[[Request, HTTPException], Awaitable[Response]]:
    async def problem(request: Request, error: HTTPException) -> Response:
        return render_problem(console, request, error.status_code, error.detail, error.headers)

    return problem


def _broken(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def broken(request: Request, _error: Exception) -> Response:
        text = "this page failed; the log of the console says why"
        return render_problem(console, request, HTTPStatus.INTERNAL_SERVER_ERROR, text)

    return broken
