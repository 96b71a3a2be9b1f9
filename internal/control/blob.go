package control

import (
	"context"
	"net/http"
	"time"
)

// Blobs are the containers of an app.
type Blobs interface {
	// Containers returns the names of all containers, in order.
	Containers() []string
	// Blob returns a blob, or nil.
	Blob(ctx context.Context, container, name string) (*Blob, error)
	// Blobs visits the blobs whose names begin with prefix, in the order of their
	// names, those after one, until visit returns false.
	Blobs(ctx context.Context, container, prefix, after string, visit func(Blob) bool) error
}

// Container is a container of the app.
type Container struct {
	Name string `json:"name"`
}

// Blob is what is known of a blob beside its bytes.
type Blob struct {
	Name        string            `json:"name"`
	Size        int64             `json:"size"`
	ContentType string            `json:"contentType,omitempty"`
	Created     time.Time         `json:"created"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

func (s *server) routeBlobs() {
	s.handle("GET blobs", func(r *http.Request) (any, error) {
		if err := readQuery(r).done(); err != nil {
			return nil, err
		}
		page := Page[Container]{Items: []Container{}}
		for _, name := range s.Blobs.Containers() {
			page.Items = append(page.Items, Container{name})
		}
		return page, nil
	})
	s.handle("GET blobs/{container}", s.listBlobs)
	s.handle("GET blobs/{container}/{name}", func(r *http.Request) (any, error) {
		found, err := s.Blobs.Blob(r.Context(), named(r, "container"), named(r, "name"))
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, missing("blob", named(r, "name"))
		}
		return found, nil
	})
}

// listBlobs answers a page of blobs. Its cursor is the last name.
func (s *server) listBlobs(r *http.Request) (any, error) {
	q := readQuery(r)
	prefix, after, limit := q.text("prefix"), q.text("cursor"), q.limit()
	if err := q.done(); err != nil {
		return nil, err
	}
	page := Page[Blob]{Items: []Blob{}}
	err := s.Blobs.Blobs(r.Context(), named(r, "container"), prefix, after, func(b Blob) bool {
		if len(page.Items) == limit {
			page.Next = page.Items[limit-1].Name
			return false
		}
		page.Items = append(page.Items, b)
		return true
	})
	return page, err
}
