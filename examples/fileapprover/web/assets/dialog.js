// The dialog that asks for the reason of a rejection.

import * as format from './format.js';

const byId = (id) => document.getElementById(id);
const dialog = byId('reject');
const comment = byId('reject-comment');

// answer resolves the question that is open, if one is.
let answer = null;

// askComment opens the dialog. It resolves to the comment, or to null when the
// dialog was called off.
export function askComment(file, what) {
  answer?.(null);
  byId('reject-title').textContent = what === 'download' ? 'Reject the download?' : 'Reject this upload?';
  byId('reject-file').textContent = format.visible(file.name);
  comment.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

// The event comes some time after the dialog was closed. When it is open again
// by then, the event belongs to a question that has been answered.
dialog.addEventListener('close', () => {
  if (!dialog.open) {
    answer?.(dialog.returnValue === 'reject' ? comment.value.trim() : null);
    answer = null;
  }
});
