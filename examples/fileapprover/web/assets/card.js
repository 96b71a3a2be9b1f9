// A file on the page: one card, updated in place so that focus and what is
// unfolded stay as they are. Outside text is set by textContent alone.

import * as api from './api.js';
import * as format from './format.js';
import { whyNot } from './me.js';
import { analysed, stateOf, stepOf, steps } from './states.js';

const template = document.getElementById('card');

export class Card {
  // ask(file, what) resolves to a comment, or null when the rejection was
  // called off; changed() asks for a fresh list.
  constructor(file, { ask, changed }) {
    this.ask = ask;
    this.changed = changed;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.fileId = file.fileId;
    this.part('.metadata').addEventListener('toggle', () => this.loadMetadata());
    this.update(file);
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  // update shows a newer version of the file and reports whether the state is
  // another one.
  update(file) {
    const before = this.file;
    this.file = file;
    this.showFacts();
    if (before && before.state === file.state && before.cause === file.cause) {
      return false;
    }
    this.element.dataset.state = file.state;
    this.showState();
    this.showActions();
    this.showThumbnail();
    this.showMetadata();
    return Boolean(before);
  }

  showFacts() {
    const file = this.file;
    setText(this.part('.name'), format.visible(file.name));
    this.part('.name').title = format.visible(file.name); // long ones are cut
    const facts = [format.size(file.size)];
    if (file.contentType) {
      facts.push(format.visible(file.contentType));
    }
    const uploaded = Date.parse(file.uploadedAt);
    if (!Number.isNaN(uploaded)) {
      const by = this.file.uploadedBy ? ` by ${format.visible(this.file.uploadedBy.name)}` : '';
      facts.push(format.ago(uploaded) + by);
      this.part('.facts').title = new Date(uploaded).toLocaleString();
    }
    // A fact stays on one line.
    setText(this.part('.facts'), facts.map((fact) => fact.replaceAll(' ', '\u00a0')).join(' · '));
  }

  showState() {
    const state = stateOf(this.file);
    const pill = this.part('.pill');
    pill.dataset.tone = state.tone;
    setText(pill, state.label);

    const at = stepOf(this.file);
    const done = state.final && !state.stopped ? steps.length : at;
    this.part('.steps').replaceChildren(...steps.map((name, i) => {
      const li = document.createElement('li');
      const status = i < done ? 'done' : i > at ? 'open' : state.stopped ? 'stopped' : 'current';
      li.dataset.status = status;
      if (status === 'current') {
        li.setAttribute('aria-current', 'step');
      }
      const label = document.createElement('span');
      label.className = 'step-name';
      label.textContent = name;
      const said = document.createElement('span');
      said.className = 'visually-hidden';
      said.textContent = { done: ': done', open: ': to come', stopped: ': stopped here', current: ': now' }[status];
      li.append(label, said);
      return li;
    }));

    const cause = this.part('.cause');
    cause.hidden = !this.file.cause;
    setText(cause, this.file.cause ? format.visible(this.file.cause) : '');
    this.showProblem('');
  }

  // showActions offers what can be done now. When the focus was on a button
  // that is gone, it goes to the card instead of to the top of the page.
  showActions() {
    const actions = this.part('.actions');
    const hadFocus = actions.contains(document.activeElement);
    const buttons = [];
    const what = stateOf(this.file).decision;
    if (what && this.decided === what) {
      buttons.push(note('Decision sent. The file goes on in a moment.'));
    } else if (what && whyNot(what, this.file)) {
      buttons.push(note(whyNot(what, this.file)));
    } else if (what) {
      buttons.push(
        this.button(`Approve ${what}`, 'primary', () => this.decide(what, true, '')),
        this.button('Reject…', 'danger-quiet', () => this.reject(what)),
      );
    } else if (this.file.state === 'Available') {
      buttons.push(this.button('Download', 'primary', () => this.download()));
    }
    actions.replaceChildren(...buttons);
    if (hadFocus) {
      this.element.focus();
    }
  }

  button(text, kind, act) {
    const b = document.createElement('button');
    b.type = 'button';
    b.className = `button ${kind}`;
    b.textContent = text;
    b.setAttribute('aria-label', `${text.replace('…', '')}: ${format.visible(this.file.name)}`);
    b.addEventListener('click', act);
    return b;
  }

  async reject(what) {
    const comment = await this.ask(this.file, what);
    if (comment !== null) {
      await this.decide(what, false, comment);
    }
  }

  async decide(what, approved, comment) {
    await this.act(async () => {
      await api.decide(what, this.file.fileId, approved, comment);
      this.decided = what;
      this.showActions();
    });
    this.changed();
  }

  async download() {
    await this.act(async () => {
      const { downloadUrl, expiresAt } = await api.getDownload(this.file.fileId);
      const url = new URL(downloadUrl, location.href);
      if (url.protocol !== 'http:' && url.protocol !== 'https:') {
        throw new api.Problem(0, 'The server gave an address that is not a web address.');
      }
      const a = document.createElement('a');
      a.href = url.href;
      a.download = '';
      a.click();
      this.showLink(url.href, expiresAt);
    });
  }

  // showLink offers the address for somebody else: it needs no sign-in.
  showLink(href, expiresAt) {
    this.part('.link-line')?.remove();
    const line = note(`The link works for anyone until ${format.clock(expiresAt)}.`);
    line.classList.add('link-line');
    if (navigator.clipboard) {
      const copy = document.createElement('button');
      copy.type = 'button';
      copy.className = 'link';
      copy.textContent = 'Copy link';
      copy.addEventListener('click', async () => {
        try {
          await navigator.clipboard.writeText(href);
          copy.textContent = 'Copied';
        } catch {
          copy.textContent = 'Could not copy';
        }
      });
      line.append(' ', copy);
    }
    this.part('.actions').append(line);
  }

  // act runs what a button does, with the buttons off and a refusal shown.
  async act(what) {
    const buttons = [...this.part('.actions').querySelectorAll('button')];
    const focused = document.activeElement;
    const enable = (on) => buttons.forEach((b) => { b.disabled = !on; });
    enable(false);
    this.showProblem('');
    try {
      await what();
    } catch (err) {
      this.showProblem(err instanceof api.Problem ? err.message : 'Something went wrong on this page.');
      if (!(err instanceof api.Problem)) {
        console.error(err);
      }
    } finally {
      enable(true);
      if (buttons.includes(focused)) {
        (focused.isConnected ? focused : this.element).focus();
      }
    }
  }

  showProblem(text) {
    const problem = this.part('.problem');
    problem.hidden = text === '';
    setText(problem, format.visible(text));
  }

  // showThumbnail asks for a picture once the analysis may have made one.
  showThumbnail() {
    const img = this.part('.thumb img');
    const type = this.part('.thumb-type');
    setText(type, format.extension(this.file.name));
    const wanted = ['AwaitingDownloadApproval', 'Available'].includes(this.file.state) &&
      String(this.file.contentType).startsWith('image/');
    if (!wanted) {
      img.hidden = true;
      type.hidden = false;
      img.removeAttribute('src');
    } else if (!img.hasAttribute('src')) {
      img.addEventListener('load', () => {
        img.hidden = false;
        type.hidden = true;
      }, { once: true });
      img.src = api.thumbnailURL(this.file.fileId);
    }
  }

  showMetadata() {
    this.part('.metadata').hidden = !analysed(this.file);
    this.loadMetadata();
  }

  // loadMetadata fills the table when it is unfolded for the first time.
  async loadMetadata() {
    const details = this.part('.metadata');
    if (details.hidden || !details.open || this.loaded) {
      return;
    }
    this.loaded = true;
    try {
      const { metadata } = await api.getFile(this.file.fileId);
      details.querySelector('tbody').replaceChildren(...(metadata || []).map(row));
    } catch (err) {
      this.loaded = false;
      details.open = false;
      this.showProblem(err.message);
    }
  }
}

function note(text) {
  const p = document.createElement('p');
  p.className = 'hint';
  p.textContent = text;
  return p;
}

function row({ name, value, source }) {
  const tr = document.createElement('tr');
  const th = document.createElement('th');
  th.scope = 'row';
  th.textContent = format.visible(name);
  const text = document.createElement('td');
  const content = document.createElement('div');
  content.className = 'value';
  content.textContent = String(value);
  text.append(content);
  if (/^#[0-9a-f]{6}$/i.test(value)) {
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.backgroundColor = value;
    content.prepend(swatch);
  }
  const from = document.createElement('td');
  from.className = 'source';
  from.textContent = format.visible(source);
  tr.append(th, text, from);
  return tr;
}

// setText leaves an element alone that already says it: nothing is announced
// or selected anew.
function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
