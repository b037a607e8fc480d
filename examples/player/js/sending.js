// Sends a recording to its section: straight to the storage where that is elsewhere, else through the app as a form.

import { Refused } from "./api.js";

/**
 * Send a file; promises what the server stored. `place` is { project_id, chapter_id, section_id }, `progress` is called
 * with a share from 0 to 1, `signal` stops it. Nothing is stored unless the promise is kept.
 */
export async function send(api, config, place, file, { progress, signal }) {
  const limit = config.max_file_size;
  if (limit !== null && file.size > limit) {
    throw new Error(`“${file.name}” is too big: ${config.max_file_size_mb} MB is the most that a recording may have.`);
  }
  // What the server has to convert goes through it.
  if (config.storage_backend === "local" || config.audio_format) return throughApp(api, place, file, { progress, signal });
  try {
    return await direct(api, place, file, { progress, signal });
  } catch (error) {
    // Until a direct upload is finished, the old recording counts beside the new one. A form may still have room.
    if (error.code !== "quota_exceeded" || signal.aborted) throw error;
    return throughApp(api, place, file, { progress, signal });
  }
}

async function direct(api, place, file, { progress, signal }) {
  const grant = await api.beginUpload({
    filename: file.name,
    size: file.size,
    content_type: file.type || undefined,
    ...place,
  });
  try {
    await transfer(grant.method, grant.url, grant.headers, file, { progress, signal });
  } catch (error) {
    api.cancelUpload(grant.reservation).catch(() => {}); // the server gives the room back by itself, only later
    throw error;
  }
  return api.finishUpload(grant.reservation);
}

async function throughApp(api, place, file, { progress, signal }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(place)) form.append(name, value);
  form.append("audio", file);
  const answer = await transfer("POST", "/api/upload", await api.headers(), form, { progress, signal });
  return JSON.parse(answer);
}

// fetch() can't tell how much of a body has been sent; XMLHttpRequest can.
function transfer(method, url, headers, body, { progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.responseText);
      else reject(new Refused(request.status, parsed(request.responseText)));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke. Nothing was stored; please try again.")));
    request.addEventListener("abort", () => reject(new DOMException("Cancelled. Nothing was stored.", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) request.abort();
    request.send(body);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
