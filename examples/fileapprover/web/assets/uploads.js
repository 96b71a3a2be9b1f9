// Uploads in progress: picked or dropped files, a few at a time, each with its
// progress and a way to cancel it.

import * as api from './api.js';
import * as format from './format.js';

const atOnce = 3;
const template = document.getElementById('upload');

export class Uploads {
  // added(fileId) is called after each upload.
  constructor(list, maxBytes, added) {
    this.list = list;
    this.maxBytes = maxBytes;
    this.added = added;
    this.waiting = [];
    this.running = 0;
  }

  add(files) {
    for (const file of files) {
      this.waiting.push(new Upload(file, this.list));
    }
    this.next();
  }

  next() {
    while (this.running < atOnce && this.waiting.length > 0) {
      const upload = this.waiting.shift();
      if (upload.cancelled) {
        continue;
      }
      this.running++;
      upload.run(this.maxBytes).then((fileId) => {
        this.running--;
        this.next();
        if (fileId) {
          this.added(fileId);
        }
      });
    }
  }
}

class Upload {
  constructor(file, list) {
    this.file = file;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part('.name').textContent = format.visible(file.name);
    this.part('.upload-state').textContent = 'Waiting';
    this.part('progress').setAttribute('aria-label', `Upload of ${format.visible(file.name)}`);
    this.part('button').addEventListener('click', () => this.cancel());
    list.append(this.element);
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  cancel() {
    this.cancelled = true;
    this.request?.cancel();
    this.element.remove();
  }

  // run uploads and returns the file's id, or nothing when it failed; then the
  // reason stays on the page until it is dismissed.
  async run(maxBytes) {
    try {
      if (this.file.size > maxBytes) {
        throw new api.Problem(413, `This file has ${format.size(this.file.size)}; the limit is ${format.size(maxBytes)}.`);
      }
      this.request = api.addFile(this.file, (part) => this.progress(part));
      const { fileId } = await this.request.done;
      this.element.remove();
      return fileId;
    } catch (err) {
      this.fail(err.message);
      return undefined;
    }
  }

  progress(part) {
    const percent = Math.floor(part * 100);
    this.part('progress').value = percent;
    this.part('.upload-state').textContent = percent < 100 ? `${percent} %` : 'Saving…';
  }

  fail(message) {
    this.element.classList.add('failed');
    this.part('progress').hidden = true;
    this.part('.upload-state').textContent = 'Not uploaded';
    const problem = this.part('.problem');
    problem.textContent = format.visible(message);
    problem.hidden = false;
    this.part('button').textContent = 'Dismiss';
  }
}
