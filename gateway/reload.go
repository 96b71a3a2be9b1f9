package gateway

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/load"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/all"
)

// Problem is something wrong with a declaration: its file, line, entity, and what would mend it.
type Problem = entity.Problem

// Reload is what became of the files when they were read last.
type Reload struct {
	// At is when they were read; Using is when those in use were.
	At    time.Time `json:"at"`
	Using time.Time `json:"using"`
	// OK says that those in use are the last that were read.
	OK bool `json:"ok"`
	// Digest tells the contents of those in use apart: hexadecimal digits.
	Digest string `json:"digest"`
	// Files are those that were read last, and Problems what is wrong with them.
	Files    []string  `json:"files"`
	Problems []Problem `json:"problems"`
}

// status is the last reload.
type status struct {
	mu   sync.Mutex
	last Reload
}

// Reload returns what became of the files when they were read last.
func (g *Gateway) Reload() Reload {
	g.status.mu.Lock()
	defer g.status.mu.Unlock()
	return g.status.last
}

// registry has all plugins, and a program's own.
func registry(own []*Plugin) *plugin.Registry {
	r := all.Registry()
	for _, k := range own {
		r.Register(k)
	}
	return r
}

// prepare makes what was read ready; nil if there is an error.
func (g *Gateway) prepare(result load.Result) (*configuration, []entity.Problem) {
	if result.Config == nil {
		return nil, result.Problems
	}
	made, problems := g.build(result.Config)
	problems = append(result.Problems, problems...)
	entity.SortProblems(problems)
	return made, problems
}

// use swaps the configuration: exchanges that begin now are served by it. Those that have begun are not touched.
func (g *Gateway) use(c *configuration, result load.Result, problems []entity.Problem) {
	g.secure.Swap(c.certs)
	g.current.Store(c)
	g.server.Swap(c)
	c.servers.Commit()
	c.plugins.Commit()
	g.status.mu.Lock()
	defer g.status.mu.Unlock()
	g.status.last = Reload{
		At: g.now(), Using: g.now(), OK: true, Digest: hex.EncodeToString(result.Digest[:]), Files: result.Files, Problems: problems,
	}
}

// changed is told of files that could be read.
func (g *Gateway) changed(result load.Result) {
	g.reload.Lock()
	defer g.reload.Unlock()
	made, problems := g.prepare(result)
	if made == nil {
		result.Problems = problems
		g.refuse(result)
		return
	}
	old := g.current.Load()
	g.use(made, result, problems)
	g.warn(problems)
	g.options.Log.Info("gateway: the configuration is new", "changes", len(entity.Diff(old.Config, made.Config)), "routes", len(made.Routes))
}

// failed is told of files with errors.
func (g *Gateway) failed(result load.Result) {
	g.reload.Lock()
	defer g.reload.Unlock()
	g.refuse(result)
}

// unchanged notes that the files were read, and are as they were.
func (g *Gateway) unchanged() {
	g.status.mu.Lock()
	defer g.status.mu.Unlock()
	g.status.last.At = g.now()
}

// refuse notes that what was read is not used.
func (g *Gateway) refuse(result load.Result) {
	g.status.mu.Lock()
	g.status.last.At, g.status.last.OK, g.status.last.Files, g.status.last.Problems = g.now(), false, result.Files, result.Problems
	g.status.mu.Unlock()
	g.options.Log.Error("gateway: the files have errors; what was in use stays in use", "errors", count(result.Problems, entity.Error))
	g.warn(result.Problems)
}

// warn logs problems.
func (g *Gateway) warn(problems []entity.Problem) {
	for _, p := range problems {
		level := slog.LevelWarn
		if p.Severity == entity.Error {
			level = slog.LevelError
		}
		g.options.Log.Log(context.Background(), level, "gateway: "+p.String())
	}
}

func count(problems []entity.Problem, severity entity.Severity) (n int) {
	for _, p := range problems {
		if p.Severity == severity {
			n++
		}
	}
	return n
}

// configurationError is ErrConfiguration with what is wrong.
type configurationError struct{ problems []entity.Problem }

// Error has a line for each error.
func (e *configurationError) Error() string {
	var b strings.Builder
	b.WriteString(ErrConfiguration.Error())
	for _, p := range e.problems {
		if p.Severity == entity.Error {
			b.WriteString("\n" + p.String())
		}
	}
	return b.String()
}

// Unwrap returns ErrConfiguration.
func (e *configurationError) Unwrap() error { return ErrConfiguration }
