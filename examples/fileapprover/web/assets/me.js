// Who is signed in, and what they may do. The server decides; the page only
// spares people buttons that would be refused.

import * as api from './api.js';

let person = { id: '', name: '', roles: [], permissions: [] };

// load asks who is signed in.
export async function load() {
  person = { roles: [], permissions: [], ...await api.whoAmI() };
  return person;
}

// may reports whether a permission is there.
export function may(permission) {
  return person.permissions.includes(permission);
}

const deciding = { upload: 'approve:uploads', download: 'approve:downloads' };

// whyNot says why a decision about a file is for somebody else; empty when it
// is not. What is 'upload' or 'download'.
export function whyNot(what, file) {
  if (!may(deciding[what])) {
    return `This waits for somebody who may approve ${what}s.`;
  }
  if (file.uploadedBy && file.uploadedBy.id === person.id) {
    return 'This is your own upload: somebody else decides.';
  }
  return '';
}
