// Who is signed in. The token lives as long as the tab: it is in no cookie, so no other site can use it.

const KEY = "session";
const EARLY = 60; // seconds before its end at which a token is replaced

export class Session extends EventTarget {
  #kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  #refreshing = null;

  get user() {
    return this.#kept?.user ?? null;
  }

  /** Give a token that is good for a while, or null if nobody is signed in. */
  async token() {
    if (this.#kept && Date.now() > this.#kept.goodUntil) await this.refresh();
    return this.#kept?.access_token ?? null;
  }

  /** Exchange the token for a new one; tells whether that worked. Who can't have a new one is signed out. */
  refresh() {
    this.#refreshing ??= this.#exchange().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async signIn(email, password) {
    const answer = await post("/api/auth/login", { email, password });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.message ?? `The server answered ${answer.status}.`);
    this.#keep(body);
  }

  signOut() {
    this.#keep(null);
  }

  async #exchange() {
    if (!this.#kept?.refresh_token) return false;
    const answer = await post("/api/auth/refresh", { refresh_token: this.#kept.refresh_token });
    if (answer.ok) this.#keep({ user: this.user, ...(await answer.json()) });
    else if (answer.status < 500 && answer.status !== 429) this.signOut();
    return answer.ok;
  }

  #keep(tokens) {
    const before = this.user?.id;
    this.#kept = tokens && {
      user: tokens.user,
      access_token: tokens.access_token,
      refresh_token: tokens.refresh_token,
      goodUntil: Date.now() + (tokens.expires_in - EARLY) * 1000,
    };
    if (tokens) sessionStorage.setItem(KEY, JSON.stringify(this.#kept));
    else sessionStorage.removeItem(KEY);
    if (this.user?.id !== before) this.dispatchEvent(new Event("change"));
  }
}

function post(url, body) {
  return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}
