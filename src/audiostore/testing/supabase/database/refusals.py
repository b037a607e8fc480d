"""Every refusal of PostgREST and of the Postgres behind it, in their own words: here the HTTP status is honest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from audiostore.testing.supabase.wire import Response, answer

_SERVER: Final = "postgrest/13.0.8"
_BY_CODE: Final = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "21000": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
}
_BY_CLASS: Final = {
    **dict.fromkeys(("08", "53"), 503),
    **dict.fromkeys(("0L", "0P", "28"), 403),
    **dict.fromkeys(
        ("09", "25", "2D", "38", "39", "3B", "40", "54", "55", "57", "58", "F0", "HV", "P0", "XX"),
        500,
    ),
}


class SqlError(Exception):
    """What Postgres raises; a function of ``FakeSupabase.function`` raises it as PL/pgSQL does with ``raise``.

    >>> raise SqlError("too late", code="P0001", hint="try tomorrow")
    Traceback (most recent call last):
    audiostore.testing.supabase.database.refusals.SqlError: too late
    """

    def __init__(
        self, message: str, *, code: str = "P0001", details: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details
        self.hint = hint

    def status(self, *, signed_in: bool) -> int:
        if self.code == "42501":
            return 403 if signed_in else 401
        if self.code == "22023" and self.message.startswith("role ") and self.message.endswith(" does not exist"):
            return 401
        if self.code[:2] == "PT" and self.code[2:].isdecimal():
            return int(self.code[2:])
        return _BY_CODE.get(self.code) or _BY_CLASS.get(self.code[:2], 400)

    def headers(self, status: int) -> dict[str, str]:
        return {"www-authenticate": "Bearer"} if status == 401 else {}

    def response(self, *, signed_in: bool) -> Response:
        status = self.status(signed_in=signed_in)
        content = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        described = {"server": _SERVER, "proxy-status": f"PostgREST; error={self.code}", **self.headers(status)}
        return answer(content, status=status, headers=described)


class RestError(SqlError):
    """What PostgREST says for itself, before or after the database."""

    def __init__(
        self,
        http: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        described: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details, hint=hint)
        self._http = http
        self._described = dict(described or {})

    def status(self, *, signed_in: bool) -> int:
        return self._http

    def headers(self, status: int) -> dict[str, str]:
        return self._described


def not_in_the_fake(what: str) -> SqlError:
    """Give what the fake says where the real server could do more: loud, and never a wrong answer."""
    return RestError(501, "0A000", f"the fake does not know {what}")


# --- who --------------------------------------------------------------------------------------------------------------


def bad_token(code: str, message: str, details: str | None = None) -> SqlError:
    why = f'Bearer error="invalid_token", error_description="{message}"'
    return RestError(401, code, message, details=details, described={"www-authenticate": why})


def no_role(role: str) -> SqlError:
    return SqlError(f'role "{role}" does not exist', code="22023")


def row_refused(table: str, *, old: bool = False) -> SqlError:
    which = " (USING expression)" if old else ""
    return SqlError(f'new row violates row-level security policy{which} for table "{table}"', code="42501")


def not_permitted(kind: str, name: str) -> SqlError:
    return SqlError(f"permission denied for {kind} {name}", code="42501")


# --- what is asked ----------------------------------------------------------------------------------------------------


def unparsed(what: str, text: str, details: str) -> SqlError:
    return RestError(400, "PGRST100", f'"failed to parse {what} ({text})" (line 1, column 1)', details=details)


def bad_body(message: str = "Empty or invalid json") -> SqlError:
    return RestError(400, "PGRST102", message)


def no_such_range(offset: int, total: int) -> SqlError:
    details = f"An offset of {offset} was requested, but there are only {total} rows."
    described = {"content-range": f"*/{total}"}
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details, described=described)


def negative_limit() -> SqlError:
    details = "Limit should be greater than or equal to zero."
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details)


def no_schema(schema: str, exposed: str) -> SqlError:
    hint = f"Only the following schemas are exposed: {exposed}"
    return RestError(406, "PGRST106", f"Invalid schema: {schema}", hint=hint)


def not_single(count: int) -> SqlError:
    message = "Cannot coerce the result to a single JSON object"
    return RestError(406, "PGRST116", message, details=f"The result contains {count} rows")


def no_method(method: str) -> SqlError:
    return RestError(405, "PGRST117", f"Unsupported HTTP method: {method}")


def bad_preference(given: str) -> SqlError:
    message = "Invalid preferences given with handling=strict"
    return RestError(400, "PGRST122", message, details=f"Invalid preferences: {given}")


def too_many_affected(count: int) -> SqlError:
    message = "Query result exceeds max-affected preference constraint"
    return RestError(400, "PGRST124", message, details=f"The query affects {count} rows")


def no_path() -> SqlError:
    return RestError(404, "PGRST125", "Invalid path specified in request URL")


# --- what is there ----------------------------------------------------------------------------------------------------


def no_function(schema: str, name: str, arguments: list[str], *, posted: bool) -> SqlError:
    listed = ", ".join(arguments)
    plural = "s" if len(arguments) > 1 else ""
    which = f"{schema}.{name}({listed})" if arguments else f"{schema}.{name} without parameters"
    searched = f"{schema}.{name} with parameter{plural} {listed}" if arguments else which
    unnamed = " or with a single unnamed json/jsonb parameter" if posted else ""
    details = f"Searched for the function {searched}{unnamed}, but no matches were found in the schema cache."
    return RestError(404, "PGRST202", f"Could not find the function {which} in the schema cache", details=details)


def no_column_to_write(table: str, column: str) -> SqlError:
    message = f"Could not find the '{column}' column of '{table}' in the schema cache"
    return RestError(400, "PGRST204", message)


def no_table(schema: str, table: str) -> SqlError:
    return RestError(404, "PGRST205", f"Could not find the table '{schema}.{table}' in the schema cache")


def no_column(table: str, column: str) -> SqlError:
    return SqlError(f"column {table}.{column} does not exist", code="42703")


# --- what is given ----------------------------------------------------------------------------------------------------


def bad_syntax(kind: str, text: str, *, code: str = "22P02") -> SqlError:
    return SqlError(f'invalid input syntax for type {kind}: "{text}"', code=code)


def out_of_range(kind: str, text: str) -> SqlError:
    return SqlError(f'value "{text}" is out of range for type {kind}', code="22003")


def null_refused(table: str, column: str, failing: str | None) -> SqlError:
    message = f'null value in column "{column}" of relation "{table}" violates not-null constraint'
    return SqlError(message, code="23502", details=failing)


def check_refused(table: str, constraint: str, failing: str | None) -> SqlError:
    message = f'new row for relation "{table}" violates check constraint "{constraint}"'
    return SqlError(message, code="23514", details=failing)


def duplicate(constraint: str, details: str | None) -> SqlError:
    message = f'duplicate key value violates unique constraint "{constraint}"'
    return SqlError(message, code="23505", details=details)


def no_constraint() -> SqlError:
    message = "there is no unique or exclusion constraint matching the ON CONFLICT specification"
    return SqlError(message, code="42P10")


def twice_in_one_statement() -> SqlError:
    hint = "Ensure that no rows proposed for insertion within the same command have duplicate constrained values."
    return SqlError("ON CONFLICT DO UPDATE command cannot affect row a second time", code="21000", hint=hint)


def served(content: bytes, *, status: int, headers: Mapping[str, Any], kind: str | None) -> Response:
    """Give an answer that is no refusal, with what PostgREST writes over each."""
    described = {"server": _SERVER, **headers}
    if kind is not None:
        described = {**described, "content-type": kind, "content-length": str(len(content))}
    return Response(status=status, headers=described, body=(content,))
