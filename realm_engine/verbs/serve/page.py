"""The page of the interface: Swagger UI from an installed package, so that no browser asks any other host."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

# Whatever is on the page, a browser fetches nothing from elsewhere and sends nothing there.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>realm-engine</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", validatorUrl: null, deepLinking: true, tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis], defaultModelsExpandDepth: 0,
});
"""


def page_router() -> APIRouter:
    """The routes of the page; its addresses are relative, so that it works below any path of a proxy."""
    router = APIRouter(include_in_schema=False)
    spec = find_spec("fastapi_offline")
    assert spec is not None and spec.origin is not None
    static = Path(spec.origin).parent / "static"

    @router.get("/")
    async def start() -> Response:
        return RedirectResponse("docs")

    @router.get("/docs")
    async def page() -> Response:
        return HTMLResponse(_HTML, headers={"Content-Security-Policy": POLICY})

    @router.get("/docs/page.js")
    async def script() -> Response:
        return Response(_SCRIPT, media_type="text/javascript")

    @router.get("/docs/swagger.js")
    async def swagger() -> Response:
        return FileResponse(static / "swagger-ui-bundle.js", media_type="text/javascript")

    @router.get("/docs/swagger.css")
    async def style() -> Response:
        return FileResponse(static / "swagger-ui.css", media_type="text/css")

    return router
