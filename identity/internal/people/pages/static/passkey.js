'use strict';
// Forms with data-passkey ask the browser for a passkey and send its answer as a form field. They are
// hidden where there are no scripts or no passkeys.
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const list = (credentials) => (credentials || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const ask = async (kind, options) => {
    const key = { ...options.publicKey, challenge: bytes(options.publicKey.challenge) };
    if (kind === 'create') {
      key.user = { ...key.user, id: bytes(key.user.id) };
      key.excludeCredentials = list(key.excludeCredentials);
      return navigator.credentials.create({ publicKey: key });
    }
    key.allowCredentials = list(key.allowCredentials);
    return navigator.credentials.get({ publicKey: key });
  };

  const answer = (credential) => {
    const response = { clientDataJSON: text(credential.response.clientDataJSON) };
    for (const name of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    if (credential.response.getTransports) response.transports = credential.response.getTransports();
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      clientExtensionResults: credential.getClientExtensionResults(),
    });
  };

  const say = (form, message) => {
    const place = form.querySelector('[data-passkey-error]');
    place.textContent = message;
    place.hidden = !message;
  };

  const run = async (form) => {
    say(form, '');
    const fields = new URLSearchParams(new FormData(form));
    fields.delete('response');
    const reply = await fetch(form.dataset.challenge, { method: 'POST', body: fields, credentials: 'same-origin' });
    if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error || 'That did not work. Please load the page again.');
    const credential = await ask(form.dataset.passkey, await reply.json());
    form.elements.response.value = answer(credential);
    form.submit();
  };

  if (!window.PublicKeyCredential) return;
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    form.hidden = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const button = form.querySelector('button[type=submit]');
      button.disabled = true;
      run(form).catch((e) => {
        const known = { NotAllowedError: 'No passkey was used.', InvalidStateError: 'This device is registered already.' };
        say(form, known[e.name] || (e.name === 'Error' ? e.message : 'The browser could not use a passkey.'));
      }).finally(() => { button.disabled = false; });
    });
  }
})();
