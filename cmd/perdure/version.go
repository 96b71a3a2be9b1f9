package main

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// modulePath is the path of this module.
const modulePath = "github.com/perdure/perdure"

// version returns the version of this program, and whether it can be had from a module
// proxy. One built from a working tree cannot.
func version() (v string, published bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != modulePath || info.Main.Version == "" {
		return "(devel)", false
	}
	v = info.Main.Version
	return v, v != "(devel)" && !strings.Contains(v, "+dirty")
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this command", Args: cobra.NoArgs,
		RunE: runs(func(context.Context, []string) error {
			v, _ := version()
			return p.show(struct {
				Version string `json:"version"`
			}{v}, func() { p.say("perdure %s", v) })
		}),
	}
}
