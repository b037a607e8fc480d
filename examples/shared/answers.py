"""The shapes of what is answered, in the words that the front end reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from audiostore import AudioFile, Place, SignedUrl, UploadGrant, Usage

MB = 1024 * 1024


def recording(file: AudioFile) -> dict[str, Any]:
    return {
        "upload_id": file.id,
        "path": str(file.key),
        "filename": file.filename,
        "storage_backend": file.backend,
        "file_size": file.size,
        "file_size_mb": round(file.size / MB, 2),
        "content_type": file.content_type,
        "duration": file.duration,
        "project_id": file.project,
        "chapter_id": file.chapter,
        "section_id": file.section,
        "created_at": file.created_at.isoformat(),
    }


def uploaded(file: AudioFile, *, replaced: bool) -> dict[str, Any]:
    return {"success": True, **recording(file), "replaced": replaced}


def granted(grant: UploadGrant, place: Place) -> dict[str, Any]:
    more = grant.resumable
    resumable = more and {
        "url": more.url,
        "headers": dict(more.headers),
        "metadata": dict(more.metadata),
        "chunk_size": more.chunk_size,
    }
    return {
        "success": True,
        "reservation": grant.reservation,
        "url": grant.url,
        "method": grant.method,
        "headers": dict(grant.headers),
        **expiry(grant.expires_at),
        "project_id": place.project,
        "resumable": resumable,
    }


def link(file: AudioFile, url: SignedUrl) -> dict[str, Any]:
    return {"url": url, **expiry(url.expires_at), "upload_id": file.id, "storage_backend": file.backend}


def expiry(moment: datetime | None) -> dict[str, Any]:
    if moment is None:
        return {"expires_at": None, "expires_in": None}
    left = (moment - datetime.now(UTC)).total_seconds()
    return {"expires_at": moment.isoformat(), "expires_in": max(0, round(left))}


def usage(usage: Usage) -> dict[str, Any]:
    quota = usage.quota
    share = None if quota is None else 100.0 if quota == 0 else round(100 * usage.used / quota, 2)
    return {
        "success": True,
        **usage.as_dict(),
        "max_file_size": usage.limits.per_file,
        "storage_used_mb": round(usage.used / MB, 2),
        "storage_quota_mb": None if quota is None else round(quota / MB, 2),
        "file_count": usage.files,
        "percentage_used": share,
    }
