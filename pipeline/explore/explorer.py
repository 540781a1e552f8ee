r"""Explore a dataset in the browser: users, items, neighbours, every model's lists.

    data/processed/D, data/features/D, data/images/D, results/D/M -> http://127.0.0.1:8000

A local, read-only server that loads nothing from other hosts. Titles and pictures come from
outside: texts are escaped, pictures are decoded and written again, and the pages have no
scripts.

    python -m pipeline.explore.explorer sample data/processed/sample data/features/sample \
        data/images/sample.parquet results/sample
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.explore.catalogue import Catalogue
from pipeline.job.command_line import parser, run
from pipeline.job.errors import ParamsError
from pipeline.pages import gallery, template

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MAX_CONNECTIONS, IDLE_SECONDS = 32, 15  # open at once; without a byte, before it is closed


def renderer(catalogue: Catalogue) -> Callable[..., str]:
    """Return a function that writes the HTML of a page, given its kind and its content."""
    shared = {
        "dataset": catalogue.material.dataset,
        "titles": catalogue.titles,
        "pictured": catalogue.pictured,
    }

    def page(kind: str, content: dict[str, Any], query: str = "") -> str:
        return template.render("explorer", kind=kind, content=content, query=query, **shared)

    return page


def application(catalogue: Catalogue) -> Flask:
    """Return the pages of a dataset."""
    from flask import Flask, Response, abort, request

    app = Flask("explore", static_folder=None)
    # Refuses other host names that resolve to this address (DNS rebinding).
    app.config["TRUSTED_HOSTS"] = [HOST, "localhost"]
    page = renderer(catalogue)

    def index() -> str:
        query = request.args.get("q", "")[:200]
        return page("search", catalogue.search(query), query)

    def user(number: int) -> str:
        if number >= catalogue.users.height:
            abort(404)
        return page("user", catalogue.user(number))

    def item(number: int) -> str:
        if number >= catalogue.items.height:
            abort(404)
        return page("item", catalogue.item(number))

    def picture(number: int) -> Response:
        data = catalogue.picture(number) if number < catalogue.items.height else None
        if data is None:
            abort(404)
        return Response(data, mimetype="image/jpeg", headers={"Cache-Control": "max-age=3600"})

    def with_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/user/<int:number>", view_func=user)
    app.add_url_rule("/item/<int:number>", view_func=item)
    app.add_url_rule("/picture/<int:number>", view_func=picture)
    app.after_request(with_headers)
    return app


def server(app: Flask, port: int) -> BaseWSGIServer:
    """Return a server of the pages on this machine; a connection beyond the limit is closed."""
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Handler(WSGIRequestHandler):
        timeout = IDLE_SECONDS

    class Server(ThreadedWSGIServer):
        free = BoundedSemaphore(MAX_CONNECTIONS)

        def process_request(self, request: Any, client_address: Any) -> None:
            if self.free.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.free.release()

    return Server(HOST, port, app, Handler)


def main(argv: list[str] | None = None) -> None:
    """Read the tables, then serve the pages until stopped."""
    arguments = parser(__doc__, "dataset", "processed", "features", "images", "results")
    arguments.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free")
    args = arguments.parse_args(argv)
    if find_spec("flask") is None:
        raise ParamsError("explore: expected the package flask; pip install -e '.[explore]'")
    material = gallery.read(
        args.processed, args.results, params.load().of(args.dataset), args.dataset
    )
    app = application(Catalogue(material, args.features, args.images))
    running = server(app, args.port)
    print(f"http://{HOST}:{running.server_port}", flush=True)
    running.serve_forever()


if __name__ == "__main__":
    run(main, writes=False)
