// The life of a file: its states, and the five steps they lie on.

export const steps = ['Upload', 'Approve upload', 'Analyse', 'Approve download', 'Available'];

// For each state: the pill's text and colour, the step it is at (counted from
// 0), whether it is final, and which decision is open.
const states = {
  AwaitingUploadApproval: { label: 'Waiting for upload approval', tone: 'wait', step: 1, decision: 'upload' },
  Analyzing: { label: 'Analysing', tone: 'work', step: 2 },
  AwaitingDownloadApproval: { label: 'Waiting for download approval', tone: 'wait', step: 3, decision: 'download' },
  Available: { label: 'Available', tone: 'good', step: 4, final: true },
  Rejected: { label: 'Rejected', tone: 'bad', stopped: true, final: true },
  Expired: { label: 'Expired', tone: 'idle', stopped: true, final: true },
  Failed: { label: 'Failed', tone: 'bad', step: 2, stopped: true, final: true },
};

export function stateOf(file) {
  return states[file.state] || { label: file.state, tone: 'idle', step: 0 };
}

// analysed reports whether the analysis has an outcome to show.
export function analysed(file) {
  return file.state === 'AwaitingDownloadApproval' || file.state === 'Available' || Boolean(file.analyzedAt);
}

// stepOf returns the step a file is at. A file that was rejected or expired
// stopped at the decision it was waiting for.
export function stepOf(file) {
  const state = stateOf(file);
  if (state.step !== undefined) {
    return state.step;
  }
  return analysed(file) ? 3 : 1;
}
