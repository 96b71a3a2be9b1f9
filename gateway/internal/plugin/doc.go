// Package plugin is what plugins are made of: a Kind with its name, priority and schema, all as Kong has them,
// and a function that makes an instance of it by its settings. An instance has the phases it needs: it
// implements proxy.Access, proxy.HeaderFilter, proxy.Log, or several of them.
//
// A Registry has the kinds, and checks settings for package entity. Build makes the instances of a
// configuration, and says which of them a route has: of several of one kind, the one that is bound most closely,
// by route, service and consumer. What instances remember, such as counters, is in a State, and outlives a
// reload.
package plugin
