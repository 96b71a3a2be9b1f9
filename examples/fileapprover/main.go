// Command fileapprover lets files through only after two people have agreed: one to the
// upload, one to the download. It shows Perdure's parts at work: an upload becomes a
// blob and a table row in one unit of work, the blob's arrival starts a durable
// orchestration, and that waits for people for as long as it takes.
//
// It serves http://localhost:8080 and keeps everything in the folder perdure-data.
// PERDURE_LISTEN and PERDURE_DATA override both; FILEAPPROVER_DEMO is 1 for demo mode: accounts to try it
// with, whose passwords and tokens are in demo-accounts.json in that folder; FILEAPPROVER_WAIT says how long a file
// waits for each decision (a Go duration, default 72h), FILEAPPROVER_IDLE how many waiting
// files are kept in memory (default 10000; the others wait in the store).
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/examples/fileapprover/web"
	"github.com/perdure/perdure/identity"
)

func main() {
	analysis.MaybeChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	wait := 72 * time.Hour
	if v := os.Getenv("FILEAPPROVER_WAIT"); v != "" {
		var err error
		if wait, err = time.ParseDuration(v); err != nil || wait <= 0 {
			return fmt.Errorf("FILEAPPROVER_WAIT %q: want a duration such as 72h", v)
		}
	}
	config := perdure.Config{
		Title: "File approver", Version: "1",
		Identity: &identity.Config{API: identity.API{Identifier: "urn:perdure:fileapprover", Name: "File approver"}, Roles: roles},
	}
	if os.Getenv("FILEAPPROVER_DEMO") == "1" {
		config.Identity.Demo = &people
	}
	if v := os.Getenv("FILEAPPROVER_IDLE"); v != "" {
		var err error
		if config.MaxIdleInstances, err = strconv.Atoi(v); err != nil || config.MaxIdleInstances < 1 {
			return fmt.Errorf("FILEAPPROVER_IDLE %q: want a number from 1 on", v)
		}
	}
	app := newApp(perdure.ConfigFromEnv(config), approver{wait, analysis.New(analysis.Options{})})
	return app.Run(ctx)
}

// newApp puts the application together.
func newApp(config perdure.Config, a approver) *perdure.App {
	config.Policy = auth.Authenticated() // of what requires nothing in particular
	app := perdure.New(config)
	app.Add(
		Files, Thumbnails, Metadata,

		perdure.Guarded(mayRead,
			perdure.HTTP("GET /api/file/{fileId}", getFile, perdure.Summary("Where a file stands")),
			perdure.HTTP("GET /api/files", listFiles, perdure.Summary("All files, newest first")),
			perdure.HTTP("GET /api/thumbnail/{fileId}", getThumbnail, perdure.Summary("A small picture of an image")),
			perdure.HTTP("GET /api/download/{fileId}", download, perdure.Summary("Metadata and a link good for one hour")),
		),
		perdure.HTTP("POST /api/file/add", addFile, perdure.Summary("Upload a file"), perdure.Require(mayUpload)),
		perdure.HTTP("POST /api/approve/{fileId}", approveUpload, perdure.Summary("Decide about an upload"), perdure.Require(mayApproveUpload)),
		perdure.HTTP("POST /api/approve/download/{fileId}", approveDownload, perdure.Summary("Decide about a download"), perdure.Require(mayApproveDownload)),
		perdure.HTTP("GET /api/me", whoAmI, perdure.Summary("Who asks, and what they may do")),
		perdure.Handle("GET /{$}", web.Handler()),
		perdure.Handle("GET /assets/", web.Handler()),

		perdure.OnBlob(Files, "{fileId}", startProcess, perdure.FunctionName("startProcess")),

		ProcessFile.Impl(a.processFile),
		AnalyzeFile.Impl(a.analyzeFile),
		Close.Impl(closeFile),
	)
	return app
}
