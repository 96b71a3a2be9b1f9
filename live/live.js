// Keeps the rows of a table of a Perdure app up to date in a page:
//
//   import { connect } from "/perdure/live.js";
//   const aggregates = connect("/live/aggregates", {
//     change: (rows, changes) => draw(rows),
//   });
//
// Options:
//   change(rows, changes)  is called after rows, a Map from key to row, has changed.
//                          changes is the list of what did; undefined if all may have.
//   state(name)            is called with "connecting", "live", "waiting" or "closed".
//   transport              "sse" (the default) or "websocket".

const firstWait = 1000;
const longestWait = 30_000;

export function connect(url, options = {}) {
  return new Connection(url, options);
}

class Connection {
  rows = new Map();

  #url;
  #options;
  #id = ""; // where to go on from
  #next = null; // the rows that come after a reset, until they are complete
  #stop = () => {};
  #timer = 0;
  #wait = firstWait;
  #closed = false;

  constructor(url, options) {
    this.#url = new URL(url, location.href);
    this.#options = options;
    this.#open();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stop();
    this.#tell("closed");
  }

  #tell(state) {
    this.#options.state?.(state);
  }

  #open() {
    this.#tell("connecting");
    const url = new URL(this.#url);
    if (this.#id) url.searchParams.set("resume", this.#id);
    this.#stop = this.#options.transport === "websocket" ? this.#openSocket(url) : this.#openEvents(url);
  }

  #openEvents(url) {
    const source = new EventSource(url);
    const again = () => {
      source.close();
      this.#again();
    };
    for (const event of ["reset", "changes", "ready"]) {
      source.addEventListener(event, (e) => {
        this.#take(event, e.lastEventId, event === "changes" ? JSON.parse(e.data) : []);
      });
    }
    for (const event of ["slow", "end", "error"]) source.addEventListener(event, again);
    return () => source.close();
  }

  #openSocket(url) {
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const again = () => this.#again();
    socket.addEventListener("message", (e) => {
      const message = JSON.parse(e.data);
      this.#take(message.event, message.id ?? (message.event === "reset" ? "" : this.#id), message.changes ?? []);
    });
    socket.addEventListener("close", again);
    return () => {
      socket.removeEventListener("close", again);
      socket.close();
    };
  }

  #take(event, id, changes) {
    this.#id = id;
    if (event === "reset") {
      this.#next = new Map();
    } else if (event === "changes") {
      const rows = this.#next ?? this.rows;
      for (const c of changes) {
        if (c.kind === "put") rows.set(c.key, c.row);
        else rows.delete(c.key);
      }
      if (!this.#next) this.#options.change?.(this.rows, changes);
    } else if (event === "ready") {
      this.#wait = firstWait;
      if (this.#next) {
        this.rows = this.#next;
        this.#next = null;
        this.#options.change?.(this.rows, undefined);
      }
      this.#tell("live");
    }
  }

  #again() {
    if (this.#closed) return;
    this.#tell("waiting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(this.#wait * 2, longestWait);
  }
}
