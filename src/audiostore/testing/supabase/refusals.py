"""Every refusal of the real server, in its own words.

Most go over the wire as HTTP 400 with the true code, a string, in the body; only the few that say so are honest.
"""

from __future__ import annotations

from dataclasses import replace

from audiostore.testing.supabase.wire import Response, answer


class Refusal(Exception):
    """What the server answers instead of doing it: four fields of the body, and the status on the wire."""

    def __init__(self, status: str, error: str, code: str, message: str, *, http: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.code = code
        self.message = message
        self.http = http

    def response(self) -> Response:
        content = {"statusCode": self.status, "error": self.error, "message": self.message, "code": self.code}
        return answer(content, status=self.http)


class NoRoute(Refusal):
    """No such path: told before the server's own answers get their charset."""

    def response(self) -> Response:
        return _bare(super().response())


class TusHeadersRefused(Refusal):
    """The headers were not TUS: told before anything is added for browsers."""


def _bare(response: Response) -> Response:
    return replace(response, headers={**response.headers, "content-type": "application/json"})


class NotAuthenticated(Refusal):
    """The token was refused: the one kind that the TUS routes, too, tell as JSON under HTTP 400."""

    def __init__(self, message: str) -> None:
        super().__init__("403", "Unauthorized", "AccessDenied", message)


def no_such_key() -> Refusal:
    return Refusal("404", "not_found", "NoSuchKey", "Object not found")


def no_such_bucket() -> Refusal:
    return Refusal("404", "Bucket not found", "NoSuchBucket", "Bucket not found")


def no_related_resource() -> Refusal:
    return Refusal("404", "InvalidRequest", "InvalidRequest", "The related resource does not exist")


def duplicate(code: str = "KeyAlreadyExists") -> Refusal:
    return Refusal("409", "Duplicate", code, "The resource already exists")


def row_refused() -> Refusal:
    return Refusal("403", "Unauthorized", "AccessDenied", "new row violates row-level security policy")


def access_denied() -> Refusal:
    return Refusal("403", "Unauthorized", "AccessDenied", "Access denied")


def unknown_role() -> Refusal:
    return Refusal("500", "DatabaseError", "DatabaseError", "database error, code: 22023", http=500)


def invalid(message: str) -> Refusal:
    return Refusal("400", "Error", "InvalidRequest", message)


def missing(where: str, name: str) -> Refusal:
    return invalid(f"{where} must have required property '{name}'")


def no_content() -> Refusal:
    return Refusal("400", "InvalidRequest", "InvalidRequest", "No content provided")


def invalid_key(key: str) -> Refusal:
    return Refusal("400", "InvalidKey", "InvalidKey", f"Invalid key: {key}")


def invalid_bucket_name() -> Refusal:
    return Refusal("400", "Invalid Input", "InvalidBucketName", "Bucket name invalid")


def too_large() -> Refusal:
    return Refusal("413", "Payload too large", "EntityTooLarge", "The object exceeded the maximum allowed size")


def invalid_mime_type(mime: str) -> Refusal:
    return Refusal("415", "invalid_mime_type", "InvalidMimeType", f"mime type {mime} is not supported")


def not_empty() -> Refusal:
    return Refusal("409", "ResourceNotEmpty", "ResourceNotEmpty", "The bucket you tried to delete is not empty")


def invalid_range() -> Refusal:
    return Refusal("416", "invalid_range", "InvalidRange", "invalid range provided", http=416)


def invalid_cursor() -> Refusal:
    return Refusal("400", "InvalidParameter", "InvalidParameter", "Invalid Parameter continuation token")


def invalid_token(message: str) -> Refusal:
    return Refusal("400", "InvalidJWT", "InvalidJWT", message)


def invalid_signature(message: str = "Invalid signature") -> Refusal:
    return Refusal("400", "InvalidSignature", "InvalidSignature", message)


def internal() -> Refusal:
    return Refusal("500", "Internal", "InternalError", "Internal Server Error", http=500)


def no_route(method: str, path: str) -> Refusal:
    return NoRoute("404", "Not Found", "InvalidRequest", f"Route {method}:{path} not found", http=404)


def bad_escape(path: str) -> Response:
    """Give what the web framework says before the storage server sees the request: its ``statusCode`` is a number."""
    message = f"'{path}' is not a valid url component"
    content = {"statusCode": 400, "error": "Bad Request", "message": message, "code": "FST_ERR_BAD_URL"}
    return _bare(answer(content, status=400))


def tus(status: int, message: str) -> Refusal:
    """Give what the TUS routes say for themselves: an honest status, and a line of text."""
    return Refusal(str(status), "", "", message)


def tus_headers(status: int, message: str) -> Refusal:
    return TusHeadersRefused(str(status), "", "", message)
