// The page: the list of files, kept fresh by asking the server.

import * as api from './api.js';
import { Card } from './card.js';
import { askComment } from './dialog.js';
import * as format from './format.js';
import * as me from './me.js';
import { stateOf } from './states.js';
import { Uploads } from './uploads.js';

const byId = (id) => document.getElementById(id);

// How long to wait between two looks at the server, in milliseconds.
const pause = {
  active: 1000, // something is under way
  patient: 3000, // people have been thinking for a minute
  idle: 5000, // every file has reached its end
  afterError: 2000, // doubled with each failure in a row
  longest: 30000,
};
const patientAfter = 60000;

class FileList {
  constructor() {
    this.cards = new Map(); // file id → Card
    this.pages = 1;
    this.failures = 0;
    this.lastChange = Date.now();
    this.turn = 0;
  }

  // refresh looks now; a look that is under way is overtaken, so that what a
  // person just did is never hidden by an older answer.
  async refresh() {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    try {
      const { files, next } = await this.fetchPages();
      if (turn !== this.turn) {
        return;
      }
      this.failures = 0;
      this.show(files, next);
    } catch (err) {
      if (turn !== this.turn) {
        return;
      }
      this.failures++;
      this.showOffline(err);
    }
    this.timer = setTimeout(() => this.refresh(), this.delay());
  }

  async fetchPages() {
    const files = [];
    let next = '';
    for (let page = 0; page < this.pages; page++) {
      const answer = await api.listFiles(next);
      files.push(...answer.files);
      next = answer.next;
      if (!next) {
        break;
      }
    }
    return { files, next };
  }

  delay() {
    if (this.failures > 0) {
      return Math.min(pause.longest, pause.afterError * 2 ** (this.failures - 1));
    }
    if (document.hidden) {
      return pause.longest;
    }
    const cards = [...this.cards.values()];
    if (cards.every((card) => stateOf(card.file).final)) {
      return pause.idle;
    }
    const quiet = Date.now() - this.lastChange > patientAfter;
    const working = cards.some((card) => card.file.state === 'Analyzing');
    return quiet && !working ? pause.patient : pause.active;
  }

  show(files, next) {
    byId('offline').hidden = true;
    const list = byId('files');
    const seen = new Set();
    const news = [];
    let previous = null;
    for (const file of files) {
      seen.add(file.fileId);
      let card = this.cards.get(file.fileId);
      if (!card) {
        card = new Card(file, { ask: askComment, changed: () => this.refresh() });
        this.cards.set(file.fileId, card);
        this.lastChange = Date.now();
      } else if (card.update(file)) {
        this.lastChange = Date.now();
        news.push(`${format.visible(file.name)}: ${stateOf(file).label}`);
      }
      const place = previous ? previous.nextElementSibling : list.firstElementChild;
      if (place !== card.element) {
        list.insertBefore(card.element, place);
      }
      previous = card.element;
    }
    for (const [id, card] of this.cards) {
      if (!seen.has(id)) {
        card.element.remove();
        this.cards.delete(id);
      }
    }
    byId('older').hidden = !next;
    byId('empty').hidden = files.length > 0;
    this.showSummary(files);
    if (news.length > 0) {
      announce(news.join('. '));
    }
  }

  showSummary(files) {
    const open = files.filter((file) => stateOf(file).decision).length;
    const text = files.length === 0 ? '' : open === 0 ? 'No decision is open' :
      open === 1 ? '1 file waits for a decision' : `${open} files wait for a decision`;
    if (byId('summary').textContent !== text) {
      byId('summary').textContent = text;
    }
  }

  showOffline(err) {
    const seconds = Math.round(this.delay() / 1000);
    byId('offline').textContent = `${err.message} Trying again every few seconds (next in ${seconds} s). Nothing is lost.`;
    byId('offline').hidden = false;
  }
}

// announce tells a screen reader.
function announce(text) {
  byId('live').textContent = text;
}

// acceptDrops takes files dropped anywhere on the page: a miss would make the
// browser leave it and open the file.
function acceptDrops(uploads) {
  const drop = byId('drop');
  let depth = 0; // dragenter and dragleave come for every element passed
  const carriesFiles = (e) => [...e.dataTransfer.types].includes('Files');
  const highlight = (change) => {
    depth = Math.max(0, change);
    drop.classList.toggle('over', depth > 0);
  };
  addEventListener('dragenter', (e) => carriesFiles(e) && highlight(depth + 1));
  addEventListener('dragleave', (e) => carriesFiles(e) && highlight(depth - 1));
  addEventListener('dragover', (e) => {
    if (carriesFiles(e)) {
      e.preventDefault();
    }
  });
  addEventListener('drop', (e) => {
    if (carriesFiles(e)) {
      e.preventDefault();
      highlight(0);
      if (me.may('upload:files')) {
        uploads.add(e.dataTransfer.files);
      }
    }
  });
}

// showMe shows who is signed in, and what they can do here.
async function showMe() {
  const { name, roles } = await me.load();
  byId('me-name').textContent = format.visible(name);
  byId('me-roles').textContent = roles.map(format.visible).join(', ');
  byId('me').hidden = false;
  byId('add').hidden = !me.may('upload:files');
}

// knowMe shows who is signed in as soon as the server says so.
async function knowMe() {
  for (let wait = pause.afterError; ; wait = Math.min(pause.longest, 2 * wait)) {
    try {
      await showMe();
      return;
    } catch {
      await new Promise((resolve) => { setTimeout(resolve, wait); });
    }
  }
}

function start() {
  const list = new FileList();
  const picker = byId('picker');
  const uploads = new Uploads(byId('uploads'), Number(picker.dataset.maxBytes), () => {
    announce('Upload complete');
    list.refresh();
  });
  picker.addEventListener('change', () => {
    uploads.add(picker.files);
    picker.value = ''; // the same file can be picked again
  });
  acceptDrops(uploads);
  byId('older').addEventListener('click', () => {
    list.pages++;
    list.refresh();
  });
  knowMe().then(() => {
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) {
        list.refresh();
      }
    });
    list.refresh();
  });
}

start();
