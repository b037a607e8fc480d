// Every request to the app's own routes (examples/shared/API.md). A refusal is thrown as what the server said about it.

const MANY = 200; // paths in one question

export class Refused extends Error {
  /** `facts` is the whole answer, `code` its word for programs. Status 0: no answer came. */
  constructor(status, facts = {}) {
    super(facts.message ?? (status ? `The server answered ${status}.` : "The server can’t be reached."));
    this.status = status;
    this.code = facts.code ?? "";
    this.facts = facts;
  }
}

export class Api {
  #session;

  constructor(session) {
    this.#session = session;
  }

  config = () => this.#ask("GET", "/api/auth/config");

  projects = () => this.#ask("GET", "/api/projects").then((answer) => answer.projects);
  project = (id) => this.#ask("GET", `/api/projects/${encodeURIComponent(id)}`);
  newProject = (data) => this.#ask("POST", "/api/projects", { project_data: data });
  deleteProject = (id) => this.#ask("DELETE", `/api/projects/${encodeURIComponent(id)}`);
  saveProject = (id, data, revision) =>
    this.#ask("PUT", `/api/projects/${encodeURIComponent(id)}`, { project_data: data, revision });

  usage = () => this.#ask("GET", "/api/usage");
  files = (project, after) => this.#ask("GET", `/api/files?${query({ project_id: project, after })}`);
  deleteFile = (path) => this.#ask("DELETE", `/api/files?${query({ path })}`);

  beginUpload = (fields) => this.#ask("POST", "/api/upload/begin", fields);
  finishUpload = (reservation) => this.#ask("POST", "/api/upload/finish", { reservation });
  cancelUpload = (reservation) => this.#ask("POST", "/api/upload/cancel", { reservation });

  /** Sign links; gives a Map of path -> { url, expires_in }. */
  async sign(paths) {
    return new Map(Object.entries((await this.#ask("POST", "/api/audio/url", { paths })).urls));
  }

  /** Ask whether recordings are there and can be read; gives a Map of path -> "ok", "missing", "unreadable", "unknown". */
  async check(paths) {
    const found = new Map();
    for (let start = 0; start < paths.length; start += MANY) {
      const { results } = await this.#ask("POST", "/api/audio/check", { paths: paths.slice(start, start + MANY) });
      for (const { path, status } of results) found.set(path, status);
    }
    return found;
  }

  peaks = (project, path, points) =>
    this.#ask("GET", `/api/projects/${encodeURIComponent(project)}/peaks?${query({ path, points })}`);

  beginExport = (book, format) =>
    this.#ask("POST", "/api/export", {
      ...book,
      exportMetadataFlag: true,
      exportAudioFlag: true,
      createZipFlag: true,
      audioFormat: format,
    });
  export = (id) => this.#ask("GET", `/api/export/${encodeURIComponent(id)}`);

  /** Headers for a request that does not go through here. */
  async headers() {
    const token = await this.#session.token();
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  async #ask(method, url, body) {
    let answer = await this.#send(method, url, body);
    if (answer.status === 401 && (await this.#session.refresh().catch(() => false))) {
      answer = await this.#send(method, url, body);
    }
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 401) this.#session.signOut();
    if (!answer.ok) throw new Refused(answer.status, told);
    return told;
  }

  async #send(method, url, body) {
    const headers = { Accept: "application/json", ...(await this.headers()) };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    try {
      return await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      throw new Refused(0);
    }
  }
}

function query(fields) {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}
