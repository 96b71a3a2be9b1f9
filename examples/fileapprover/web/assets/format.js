// How things are written on the page.

// visible returns outside text with the characters replaced that could make it
// look like other text: control characters and those that turn the direction.
export function visible(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '\ufffd');
}

const units = ['bytes', 'KiB', 'MiB', 'GiB'];

export function size(bytes) {
  if (bytes === 1) {
    return '1 byte';
  }
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  const digits = unit > 0 && bytes < 10 ? 1 : 0;
  return `${bytes.toLocaleString('en', { maximumFractionDigits: digits })} ${units[unit]}`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const steps = [[60, 'second'], [60, 'minute'], [24, 'hour'], [30, 'day'], [12, 'month'], [Infinity, 'year']];

// ago writes a time in the past as the distance from now.
export function ago(time, now = Date.now()) {
  let distance = Math.max(0, now - time) / 1000;
  if (distance < 45) {
    return 'just now';
  }
  for (const [length, unit] of steps) {
    if (distance < length) {
      return relative.format(-Math.round(distance), unit);
    }
    distance /= length;
  }
  return '';
}

export function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

// extension returns what a file without a picture shows instead: at most four
// letters of its name's end.
export function extension(name) {
  const end = /\.([A-Za-z0-9]{1,4})$/.exec(name);
  return end ? end[1].toUpperCase() : 'FILE';
}
