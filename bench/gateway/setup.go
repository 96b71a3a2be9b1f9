package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
)

// setup is what an engine is started with.
type setup struct {
	Dir      string `json:"dir"` // of its own
	Address  string `json:"address"`
	Upstream string `json:"upstream"`
	KeyFile  string `json:"key_file"` // the public key of the issuer, PEM
	Cached   bool   `json:"cached"`   // verified tokens are remembered
	cell
	programs string // folder of what is built
}

// write writes a file of the engine, and returns its path.
func (s *setup) write(name, text string) (string, error) {
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// engine is what is compared.
type engine struct {
	name, title string
	// command returns the command that runs it, and its version.
	command func(*setup) (*exec.Cmd, string, error)
	cached  bool
	// takes reports whether it takes part in a workload.
	takes func(*workload) bool
}

var engines = []engine{
	{"perdure", "Perdure", perdure, true, all},
	{"perdure-bare", "Perdure, --no-headers", perdureBare, true, all},
	{"nginx", "nginx", nginx, false, withoutPlugins},
	{"nginx-lua", "nginx and Lua", nginx, false, withPlugins},
	{"nginx-lua-cached", "nginx and Lua, cached", nginx, true, withTokens},
	{"haproxy", "HAProxy", haproxy, false, all},
	{"fasthttp", "fasthttp", child("fasthttp"), false, all},
	{"fasthttp-cached", "fasthttp, cached", child("fasthttp"), true, withTokens},
	{"reverseproxy", "ReverseProxy", child("reverseproxy"), false, all},
	{"reverseproxy-cached", "ReverseProxy, cached", child("reverseproxy"), true, withTokens},
	{"caddy", "Caddy", caddy, false, all},
	{"direct", "without a gateway", nil, false, func(w *workload) bool { return w.name == "gateway-plain" || w.name == "gateway-pace" }},
}

func all(*workload) bool              { return true }
func withPlugins(w *workload) bool    { return w.cell.JWT || w.cell.Limit > 0 }
func withoutPlugins(w *workload) bool { return !withPlugins(w) }
func withTokens(w *workload) bool     { return w.tokens > 0 }

// child runs a library in a process of this program.
func child(name string) func(*setup) (*exec.Cmd, string, error) {
	return func(s *setup) (*exec.Cmd, string, error) {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, "", err
		}
		file, err := s.write("setup.json", string(text))
		if err != nil {
			return nil, "", err
		}
		self, err := os.Executable()
		return exec.Command(self, childFlag, name, file), libraryVersion(name), err
	}
}
