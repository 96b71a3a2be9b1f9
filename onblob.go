package perdure

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/resource"
)

// blobFunction is a function that is triggered by blobs.
type blobFunction struct {
	eventFunction
	blobs   *blob.ContainerRef
	pattern string
	topic   string
}

// OnBlob runs fn for each blob written or copied to a container under a name that matches
// pattern, such as "{fileId}" or "raw/{id}.json": an expression stands for one or more
// characters without "/", and at the end, as "{path...}", for the rest. In takes the
// expressions by path tags, what the event says by a field of type blob.Event tagged
// body, and the blob's bytes by bind. Keys may also use {blob.container}, {blob.name} and
// {blob.size}. Each event is handled in one unit of work.
func OnBlob[In, Out any](c *blob.ContainerRef, pattern string, fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	return &blobFunction{
		eventFunction: newEventFunction("blob/"+c.ResourceName()+"/"+pattern, fn, opts...),
		blobs:         c, pattern: pattern, topic: blob.Topic(c.ResourceName()),
	}
}

// OnBlobDeleted is OnBlob for blobs that are deleted; one that is replaced is not. In
// takes what the blob was by a field of type blob.Deletion tagged body. Its bytes are
// gone.
func OnBlobDeleted[In, Out any](c *blob.ContainerRef, pattern string, fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	return &blobFunction{
		eventFunction: newEventFunction("blob-deleted/"+c.ResourceName()+"/"+pattern, fn, opts...),
		blobs:         c, pattern: pattern, topic: blob.DeletedTopic(c.ResourceName()),
	}
}

// blobMetadata are the names that expressions may use besides those of the pattern.
var blobMetadata = []string{"blob.container", "blob.name", "blob.size"}

func (f *blobFunction) resources() []resource.Resource { return []resource.Resource{f.blobs} }

func (f *blobFunction) register(r *running, env binding.Env) error {
	match, names, err := compilePattern(f.pattern)
	if err != nil {
		return fmt.Errorf("function %s: pattern %q: %w", f.name, f.pattern, err)
	}
	plan, err := f.compile(env, names, blobMetadata)
	if err != nil {
		return err
	}
	// Of a deletion the same fields count.
	name := func(event []byte) (blob.Event, bool) {
		var ev blob.Event
		err := json.Unmarshal(event, &ev)
		return ev, err == nil && match.MatchString(ev.Name)
	}
	return r.dispatcher.Register(delivery.Function{
		Name: f.name, Topics: []string{f.topic}, Policy: f.policy,
		Accepts: func(_ string, event []byte) bool {
			_, ok := name(event)
			return ok
		},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			ev, ok := name(d.Event)
			if !ok {
				return nil // the pattern was changed after the event
			}
			values := map[string]string{}
			for i, v := range match.FindStringSubmatch(ev.Name)[1:] {
				values[names[i]] = v
			}
			return plan.handle(ctx, d, values, map[string]string{
				"blob.container": ev.Container, "blob.name": ev.Name, "blob.size": strconv.FormatInt(ev.Size, 10),
			})
		},
	})
}

var patternExpression = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}`)

// compilePattern turns a pattern such as "raw/{id}.json" into a regular expression
// with one group for each name.
func compilePattern(pattern string) (*regexp.Regexp, []string, error) {
	if !fs.ValidPath(pattern) || pattern == "." {
		return nil, nil, fmt.Errorf("want a relative path without empty parts, such as {id} or raw/{id}.json")
	}
	var (
		names []string
		expr  strings.Builder
		at    int
	)
	literal := func(s string) error {
		if strings.ContainsAny(s, "{}") {
			return fmt.Errorf("a brace that belongs to no {name}")
		}
		expr.WriteString(regexp.QuoteMeta(s))
		return nil
	}
	expr.WriteString(`\A`)
	for _, m := range patternExpression.FindAllStringSubmatchIndex(pattern, -1) {
		if err := literal(pattern[at:m[0]]); err != nil {
			return nil, nil, err
		}
		name, rest := pattern[m[2]:m[3]], m[4] >= 0
		for _, other := range names {
			if other == name {
				return nil, nil, fmt.Errorf("{%s} stands in it twice", name)
			}
		}
		names = append(names, name)
		switch {
		case !rest:
			expr.WriteString(`([^/]+)`)
		case m[1] == len(pattern):
			expr.WriteString(`(.+)`)
		default:
			return nil, nil, fmt.Errorf("{%s...} must be at the end", name)
		}
		at = m[1]
	}
	if err := literal(pattern[at:]); err != nil {
		return nil, nil, err
	}
	expr.WriteString(`\z`)
	re, err := regexp.Compile(`(?s)` + expr.String())
	return re, names, err
}
