package blob

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Event tells functions that are triggered by a container that a blob was written or
// copied.
type Event struct {
	Container   string `json:"container"`
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	ContentType string `json:"contentType,omitempty"`
	// Time is when it was written.
	Time time.Time `json:"time"`
}

// Deletion tells functions that are triggered by a container that a blob was deleted.
type Deletion struct {
	// Event is the one of the write.
	Event
	// Metadata is what was kept with the blob.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Deleted is when it was deleted.
	Deleted time.Time `json:"deleted"`
}

// Topic is what the events of a container are published as.
func Topic(container string) string { return "blob/created/" + container }

// DeletedTopic is what the deletions of a container are published as.
func DeletedTopic(container string) string { return "blob/deleted/" + container }

func (c *ContainerRef) event(name string, b *records.Blob) Event {
	return Event{c.name, name, b.Size, b.ContentType, b.Created}
}

// publish adds an event to the unit.
func publish(u *unit.Unit, topic string, event any) error {
	publish := u.Env().Publish
	if publish == nil {
		return nil
	}
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return publish(u, topic, data)
}
