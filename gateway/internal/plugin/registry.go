package plugin

import (
	"fmt"
	"slices"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Kind is a plugin that there is.
type Kind struct {
	// Name and Priority are Kong's. Plugins with higher priorities come first.
	Name     string
	Priority int
	Schema   Schema
	// NoConsumer says that the plugin cannot be bound to a consumer.
	NoConsumer bool
	// New makes an instance: a proxy.Access, proxy.HeaderFilter or proxy.Log, or several of them. The error
	// says what is wrong with the settings that the schema cannot know.
	New func(s Setup) (any, error)
}

// Registry has the kinds of plugins. It is not changed once it is used.
type Registry struct{ kinds map[string]*Kind }

// NewRegistry returns a registry of kinds. It panics if two have the same name.
func NewRegistry(kinds ...*Kind) *Registry {
	r := &Registry{kinds: map[string]*Kind{}}
	for _, k := range kinds {
		r.Register(k)
	}
	return r
}

// Register adds a kind. It panics if there is one of that name.
func (r *Registry) Register(k *Kind) {
	if _, taken := r.kinds[k.Name]; taken {
		panic("plugin: there are two named " + k.Name)
	}
	r.kinds[k.Name] = k
}

// Names implements entity.Schemas.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.kinds))
	for name := range r.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Kind returns the kind of that name, nil if there is none.
func (r *Registry) Kind(name string) *Kind { return r.kinds[name] }

// Check implements entity.Schemas.
func (r *Registry) Check(name string, config map[string]any) (map[string]any, []entity.FieldProblem) {
	k := r.kinds[name]
	if k == nil {
		return nil, []entity.FieldProblem{{Message: fmt.Sprintf("there is no plugin %q", name)}}
	}
	return k.Schema.check(config)
}

// phases are what an instance does.
type phases struct {
	access proxy.Access
	filter proxy.HeaderFilter
	log    proxy.Log
}

func phasesOf(instance any) (phases, bool) {
	var p phases
	p.access, _ = instance.(proxy.Access)
	p.filter, _ = instance.(proxy.HeaderFilter)
	p.log, _ = instance.(proxy.Log)
	return p, p.access != nil || p.filter != nil || p.log != nil
}
