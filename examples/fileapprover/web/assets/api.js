// The HTTP interface of the file approver.

// A request that the server refused, or that did not reach it (status 0).
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// problemOf makes a Problem of an answer's body, which is problem details
// (RFC 9457) unless something between here and the server answered.
export function problemOf(status, text) {
  try {
    const p = JSON.parse(text);
    const message = p.detail || p.title;
    if (message) {
      return new Problem(status, String(message));
    }
  } catch {
    // not JSON: the status must do
  }
  return new Problem(status, `The server answered ${status}.`);
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, 'The server cannot be reached.');
  }
  const text = await response.text();
  if (response.status === 401) {
    signIn();
    throw new Problem(401, 'You are signed out.');
  }
  if (!response.ok) {
    throw problemOf(response.status, text);
  }
  return text ? JSON.parse(text) : null;
}

// signIn leaves the page for the sign-in, which leads back to it.
function signIn() {
  location.assign(`/login?return_to=${encodeURIComponent(location.pathname)}`);
}

// whoAmI returns {id, name, roles, permissions} of who is signed in.
export function whoAmI() {
  return request('/api/me');
}

// pageSize is how many files one request lists.
const pageSize = 50;

// listFiles returns {files, next}: files newest first, next empty at the end.
export function listFiles(after) {
  const query = new URLSearchParams({ limit: pageSize });
  if (after) {
    query.set('after', after);
  }
  return request(`/api/files?${query}`);
}

export function getFile(id) {
  return request(`/api/file/${encodeURIComponent(id)}`);
}

export function getDownload(id) {
  return request(`/api/download/${encodeURIComponent(id)}`);
}

// decide sends a decision. What is 'upload' or 'download'.
export function decide(what, id, approved, comment) {
  const path = what === 'download' ? '/api/approve/download/' : '/api/approve/';
  return request(path + encodeURIComponent(id), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ approved, comment }),
  });
}

export function thumbnailURL(id) {
  return `/api/thumbnail/${encodeURIComponent(id)}`;
}

// addFile uploads a file and calls onProgress with the part that was sent, 0 to
// 1. It returns {done, cancel}. (fetch cannot tell the progress of an upload.)
export function addFile(file, onProgress) {
  const xhr = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    xhr.upload.addEventListener('progress', (e) => {
      if (e.lengthComputable && e.total > 0) {
        onProgress(e.loaded / e.total);
      }
    });
    xhr.addEventListener('load', () => {
      if (xhr.status === 201) {
        resolve(JSON.parse(xhr.responseText));
      } else if (xhr.status === 401) {
        reject(new Problem(401, 'You were signed out. Sign in again, then repeat the upload.'));
      } else {
        reject(problemOf(xhr.status, xhr.responseText));
      }
    });
    xhr.addEventListener('error', () => reject(new Problem(0, 'The upload was interrupted.')));
    xhr.addEventListener('abort', () => reject(new Problem(0, 'The upload was cancelled.')));
  });
  const form = new FormData();
  form.append('file', file);
  xhr.open('POST', '/api/file/add');
  xhr.send(form);
  return { done, cancel: () => xhr.abort() };
}
