package records

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

// Task is what is kept of an activity or step between its attempts. There is none
// for one that has not failed, does not wait and has not reported progress. The
// task with number 0 is the instance's own turn.
type Task struct {
	// Attempts counts the attempts that ended.
	Attempts uint32 `json:"attempts,omitempty"`
	// Deaths counts the process deaths while it ran.
	Deaths uint32 `json:"deaths,omitempty"`
	// Error is the last attempt's.
	Error string `json:"error,omitempty"`
	// NextAt, unless zero, is when the next attempt is due; until then it is
	// not run.
	NextAt time.Time `json:"nextAt,omitzero"`
	// Token, unless empty, says that it will be completed from outside by
	// whoever holds it. ExpiresAt ends that wait.
	Token     string    `json:"token,omitempty"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Progress is the detail of the last heartbeat.
	Progress json.RawMessage `json:"progress,omitempty"`
}

// taskUpgrades has no step yet: format 1 is JSON of Task.
var taskUpgrades upgrades

func taskKey(k InstanceKey, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(instanceKey(spaceTask, k), seq)
}

// PutTask writes the task of call seq.
func PutTask(w Writer, k InstanceKey, seq uint32, t *Task) {
	w.Put(taskKey(k, seq), taskUpgrades.encodeJSON(t))
}

// DeleteTask removes the task of call seq.
func DeleteTask(w Writer, k InstanceKey, seq uint32) { w.Delete(taskKey(k, seq)) }

// GetTask returns the task of call seq, or nil.
func GetTask(r store.Reader, k InstanceKey, seq uint32) (*Task, error) {
	value, _, err := r.Get(taskKey(k, seq))
	if err != nil || value == nil {
		return nil, err
	}
	var t Task
	if err := taskUpgrades.decodeJSON(value, &t); err != nil {
		return nil, fmt.Errorf("task record: %w", err)
	}
	return &t, nil
}

// ReadTasks returns the tasks of instance k by number.
func ReadTasks(r store.Reader, k InstanceKey) (map[uint32]*Task, error) {
	var (
		tasks  map[uint32]*Task
		failed error
	)
	prefix := instanceKey(spaceTask, k)
	err := r.Scan(store.Range{Start: prefix, End: tuple.After(prefix)}, func(it store.Item) bool {
		var t Task
		if failed = taskUpgrades.decodeJSON(it.Value, &t); failed != nil {
			failed = fmt.Errorf("task record: %w", failed)
			return false
		}
		if tasks == nil {
			tasks = map[uint32]*Task{}
		}
		tasks[binary.BigEndian.Uint32(it.Key[9:])] = &t
		return true
	})
	if failed != nil {
		return nil, failed
	}
	return tasks, err
}
