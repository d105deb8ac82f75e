/** Requests to the service, with its token if it wants one. */

import { find } from "./dom.js";

/** What the service refused, in the words that it gave. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What was answered to GET, by path, with its ETag: asked again, it is sent only if it is another. */
const seen = new Map();
const MOST = 50;
let token = null;
let asking = null;

/**
 * Returns what the service answers, read as JSON; asks the person for the token when it is wanted.
 * @param body a string or File of CSV, or what is sent as JSON; a request with a body is a POST.
 * @throws Refusal with the message of the service, or one that says there was no answer.
 */
export async function ask(path, { body, method = body === undefined ? "GET" : "POST" } = {}) {
  for (;;) {
    const used = token;
    const answer = await send(path, method, body);
    if (answer.status === 304) return seen.get(path).value;
    if (answer.status !== 401) return remember(path, method, answer, await read(answer));
    if (used === token && !(await askedForToken(used !== null))) throw await refusal(answer);
  }
}

async function send(path, method, body) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  const isText = typeof body === "string" || body instanceof Blob;
  if (method === "GET" && seen.has(path)) headers["If-None-Match"] = seen.get(path).tag;
  if (body !== undefined) headers["Content-Type"] = isText ? "text/csv" : "application/json";
  try {
    return await fetch(path, { method, headers, body: body === undefined || isText ? body : JSON.stringify(body) });
  } catch {
    throw new Refusal(0, "The service did not answer; it may have stopped, or the rows are more than it takes at once.");
  }
}

function remember(path, method, answer, value) {
  const tag = method === "GET" && answer.headers.get("ETag");
  seen.delete(path);
  if (tag) seen.set(path, { tag, value });
  if (seen.size > MOST) seen.delete(seen.keys().next().value);
  return value;
}

async function read(answer) {
  if (!answer.ok) throw await refusal(answer);
  return answer.status === 204 ? null : answer.json();
}

async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Refusal(answer.status, said.message ?? `The service answered ${answer.status} ${answer.statusText}`);
}

/** Opens the dialog once, however many requests wait for it; returns whether a token was given. */
function askedForToken(wasWrong) {
  asking ??= new Promise((resolve) => {
    const dialog = find("#token-dialog");
    if (wasWrong) find("#token-reason").textContent = "The service refused this token. Try again.";
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use";
      if (given) token = find("#token").value;
      find("#token").value = "";
      asking = null;
      resolve(given);
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}
