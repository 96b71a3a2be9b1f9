// Command temporalserver is Temporal's development server alone, without the rest of its command line.
// The bench's setup.sh builds it inside the unpacked module github.com/temporalio/cli, whose own command
// cannot be built from a module download because of a replace directive.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/temporalio/cli/internal/devserver"
)

func main() {
	port := flag.Int("port", 7233, "port of the frontend on 127.0.0.1")
	file := flag.String("db", "", "SQLite file that keeps the server's state")
	version := flag.Bool("version", false, "print the server's version and end")
	flag.Parse()
	if *version {
		fmt.Println(serverVersion())
		return
	}

	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	server, err := devserver.Start(devserver.StartOptions{
		FrontendIP:             "127.0.0.1",
		FrontendPort:           *port,
		Namespaces:             []string{"default"},
		ClusterID:              "perdure-bench",
		MasterClusterName:      "active",
		CurrentClusterName:     "active",
		InitialFailoverVersion: 1,
		Logger:                 logger,
		LogLevel:               slog.LevelError,
		DatabaseFile:           *file,
		MetricsPort:            devserver.MustGetFreePort("127.0.0.1"),
		// The server's own default is synchronous=NORMAL, which does not sync each commit in WAL mode.
		SqlitePragmas: map[string]string{"journal_mode": "wal", "synchronous": "full"},
		// What the temporal command sets by default.
		DynamicConfigValues: map[string]any{
			"system.forceSearchAttributesCacheRefreshOnRead": true,
			"system.forceNexusEndpointRefreshOnRead":         true,
			"frontend.persistenceMaxQPS":                     10000,
			"history.persistenceMaxQPS":                      45000,
		},
	})
	if err != nil {
		logger.Error("start the development server", "error", err)
		os.Exit(1)
	}
	defer server.Stop()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
}

// serverVersion returns the version of the server that is built into this program.
func serverVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "go.temporal.io/server" {
			return module.Version
		}
	}
	return "unknown"
}
