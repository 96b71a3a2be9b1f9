package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// perdure is the command, with a file in Kong's format.
func perdure(s *setup) (*exec.Cmd, string, error) { return runPerdure(s) }

// perdureBare leaves out the fields that Kong adds and the peers do not: Via, X-Kong-*.
func perdureBare(s *setup) (*exec.Cmd, string, error) { return runPerdure(s, "--no-headers") }

func runPerdure(s *setup, flags ...string) (*exec.Cmd, string, error) {
	binary := filepath.Join(s.programs, "perdure")
	file, err := s.write("kong.yml", kongFile(s))
	if err != nil {
		return nil, "", err
	}
	args := append([]string{"gateway", "run", file, "--listen", s.Address, "--data", filepath.Join(s.Dir, "data")}, flags...)
	command := exec.Command(binary, args...)
	version, err := os.ReadFile(binary + ".version")
	return command, string(version), err
}

// buildPerdure builds the command from the module beside this one, with the versions of that module.
func buildPerdure(dir string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/perdure/perdure").Output()
	if err != nil {
		return err
	}
	root, binary := strings.TrimSpace(string(out)), filepath.Join(dir, "perdure")
	commit, err := exec.Command("git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	if err := os.WriteFile(binary+".version", bytes.TrimSpace(commit), 0o644); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", binary, "./cmd/perdure")
	build.Dir, build.Stderr = root, os.Stderr
	return build.Run()
}

// kongFile is what a user of Kong would write for a cell.
func kongFile(s *setup) string {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n- name: things\n  url: http://" + s.Upstream + "\n  routes:\n")
	if s.Routes == 0 {
		b.WriteString("  - {name: all, paths: [/], strip_path: false}\n")
	}
	for n := range s.Routes {
		fmt.Fprintf(&b, "  - {name: route%04d, paths: [%s], strip_path: false}\n", n, routePath(n))
	}
	if s.JWT || s.Limit > 0 {
		b.WriteString("  plugins:\n")
	}
	if s.JWT {
		b.WriteString("  - {name: jwt, config: {claims_to_verify: [exp]}}\n")
	}
	if s.Limit > 0 {
		fmt.Fprintf(&b, "  - {name: rate-limiting, config: {hour: %d, policy: local}}\n", s.Limit)
	}
	if s.JWT {
		key, _ := os.ReadFile(s.KeyFile) // without it the gateway says so
		b.WriteString("consumers:\n- id: " + consumerID + "\n  username: " + consumerName + "\n  jwt_secrets:\n  - key: " + issuerName +
			"\n    algorithm: RS256\n    rsa_public_key: |\n      " + strings.ReplaceAll(strings.TrimSpace(string(key)), "\n", "\n      ") + "\n")
	}
	return b.String()
}
