package admin

import (
	"net/http"
	"slices"
)

// Status is what the gateway has done since it began.
type Status struct {
	// Connections of clients: those accepted, and the ones now open, by what they do.
	Accepted, Active, Reading, Writing, Waiting int64
	// Requests of clients.
	Requests int64
	// ConfigurationHash tells configurations apart, in hex; "": there is none yet.
	ConfigurationHash string
}

// emptyHash is Kong's for no configuration.
const emptyHash = "00000000000000000000000000000000"

// root says what the gateway is.
func (q *request) root() answer {
	available := map[string]any{}
	for _, name := range q.o.Registry.Names() {
		available[name] = map[string]any{"version": Version, "priority": q.o.Registry.Kind(name).Priority}
	}
	enabled := []string{}
	for _, p := range q.index.config.Plugins {
		if !slices.Contains(enabled, p.Name) {
			enabled = append(enabled, p.Name)
		}
	}
	slices.Sort(enabled)
	return ok(map[string]any{
		"tagline":  "Welcome to Perdure, with the Admin API of Kong",
		"version":  Version,
		"edition":  "community",
		"hostname": "",
		"node_id":  q.o.NodeID,
		"plugins":  map[string]any{"available_on_server": available, "enabled_in_cluster": enabled},
		"configuration": map[string]any{
			"database": "off", "role": "traditional", "router_flavor": "traditional_compatible",
			"proxy_listeners": []any{}, "stream_listeners": []any{},
		},
	})
}

func matchStatus(path []string) *endpoint {
	switch {
	case len(path) == 0:
		return &endpoint{get: (*request).status}
	case len(path) == 1 && path[0] == "ready":
		return &endpoint{get: (*request).ready}
	}
	return nil
}

// counters are the Status, or nothing.
func (q *request) counters() Status {
	if q.o.Status == nil {
		return Status{}
	}
	return q.o.Status()
}

func (q *request) status() answer {
	s := q.counters()
	hash := s.ConfigurationHash
	if hash == "" {
		hash = emptyHash
	}
	return ok(map[string]any{
		"database":           map[string]any{"reachable": true},
		"memory":             map[string]any{"lua_shared_dicts": map[string]any{}, "workers_lua_vms": []any{}},
		"configuration_hash": hash,
		"server": map[string]any{
			"connections_accepted": s.Accepted, "connections_handled": s.Accepted, "connections_active": s.Active,
			"connections_reading": s.Reading, "connections_writing": s.Writing, "connections_waiting": s.Waiting,
			"total_requests": s.Requests,
		},
	})
}

// ready says whether there is a configuration.
func (q *request) ready() answer {
	if q.o.Config() == nil {
		return answer{http.StatusServiceUnavailable, message{"no configuration available (empty configuration present)"}}
	}
	return ok(message{"ready"})
}

func matchPlugins(path []string) *endpoint {
	switch {
	case len(path) == 1 && path[0] == "enabled":
		return &endpoint{get: func(q *request) answer { return ok(map[string]any{"enabled_plugins": q.o.Registry.Names()}) }}
	case len(path) == 2 && path[0] == "schema":
		return &endpoint{get: func(q *request) answer { return q.settings(path[1]) }}
	}
	return nil
}
