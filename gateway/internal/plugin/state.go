package plugin

import (
	"log/slog"
	"sync"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// State is what instances remember beyond a reload: counters, caches. It is safe for concurrent use.
type State struct {
	mu   sync.Mutex
	kept map[stateKey]any
}

type stateKey struct{ owner, name string }

// NewState returns an empty state.
func NewState() *State { return &State{kept: map[stateKey]any{}} }

// Environment is what instances have around them.
type Environment struct {
	// State is kept from one configuration to the next; nil is a new one.
	State *State
	// Clock is the time; nil is the system's.
	Clock clock.Clock
	// Log is told of what an operator should know; nil is nobody.
	Log *slog.Logger
	// Balancer chooses among the servers of a service of the configuration, for plugins that send requests elsewhere;
	// nil if nothing is proxied.
	Balancer func(*entity.Service) proxy.Balancer
}

// Setup is what an instance is made of.
type Setup struct {
	Environment
	// Config is the whole configuration, compiled.
	Config *entity.Config
	// Plugin is the entity, whose settings are Values.
	Plugin *entity.Plugin
	Values Values

	build *build
}

// Keep returns what this instance has kept under a name, over reloads too, for as long as there is an instance of
// its id. What is not there yet is made.
func Keep[T any](s Setup, name string, fresh func() T) T {
	return keep(s, entity.MetaOf(s.Plugin).ID, s.Plugin.Name+"/"+name, fresh)
}

// KeepForAll is Keep for what all instances share, for as long as there is one that asks for it.
func KeepForAll[T any](s Setup, name string, fresh func() T) T { return keep(s, "", name, fresh) }

func keep[T any](s Setup, owner, name string, fresh func() T) T {
	st, key := s.State, stateKey{owner, name}
	st.mu.Lock()
	defer st.mu.Unlock()
	s.build.used[key] = true
	if v, ok := st.kept[key].(T); ok {
		return v
	}
	v := fresh()
	st.kept[key] = v
	return v
}

// Once returns what is made once for a configuration, for all instances.
func Once[T any](s Setup, name string, fresh func() T) T {
	if v, ok := s.build.once[name].(T); ok {
		return v
	}
	v := fresh()
	s.build.once[name] = v
	return v
}

// drop forgets what nobody uses any more.
func (st *State) drop(used map[stateKey]bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for key := range st.kept {
		if !used[key] {
			delete(st.kept, key)
		}
	}
}

// Kept returns what KeepForAll has kept under a name.
func Kept[T any](st *State, name string) (T, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	v, ok := st.kept[stateKey{"", name}].(T)
	return v, ok
}
