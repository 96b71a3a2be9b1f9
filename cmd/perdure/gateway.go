package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/gateway"
)

// gatewayPath is the path of the gateway's answers, below control.Prefix.
const gatewayPath = "gateway/"

func (p *program) gatewayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "gateway", Short: "Check what a gateway is told, run one, and ask it why", Args: cobra.NoArgs,
		Long: `Check the declarations of a gateway, run one, and ask it why a request was answered as it was.

Declarations are files in the format of Kong (kong.yml), Kubernetes manifests, or folders with
both. "check", "routes", "explain" and "diff" read files that are named; without, they ask the
gateway of the app that runs on --data.`,
	}
	cmd.AddCommand(p.gatewayRun(), p.gatewayCheck(), p.gatewayDiff(), p.gatewayRoutes(), p.gatewayExplain(), p.gatewayRequests(),
		p.gatewayStatus(), p.gatewayReload())
	return cmd
}

func (p *program) gatewayCheck() *cobra.Command {
	var (
		strict  bool
		allowed []string
	)
	cmd := &cobra.Command{
		Use: "check FILE...", Short: "Say what is wrong with declarations, by file and line", Args: cobra.MinimumNArgs(1),
		Long: `Say what is wrong with declarations, by file and line, and what would mend it.

The exit code is 5 if there are errors, or with --strict if there are warnings other than those
that --allow accepts.`,
		Example: `  perdure gateway check kong.yml
  perdure gateway check --strict --allow 'policy cluster' manifests/`,
		RunE: runs(func(_ context.Context, files []string) error {
			checked := gateway.Check(files)
			for i := range checked.Problems {
				checked.Problems[i].Message = foreign(checked.Problems[i].Message)
			}
			err := p.show(checked, func() {
				for _, problem := range checked.Problems {
					p.say("%s", problem)
				}
				p.say("%s", checkSummary(checked))
			})
			if err == nil && (checked.Errors > 0 || strict && counted(checked.Problems, allowed) > 0) {
				err = errFound
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings count as errors")
	cmd.Flags().StringArrayVar(&allowed, "allow", nil, "with --strict, warnings that have this `text` in them do not count; may be repeated")
	return cmd
}

// counted is how many warnings there are whose lines have none of the texts in them.
func counted(problems []gateway.Problem, allowed []string) (n int) {
	for _, problem := range problems {
		line := problem.String()
		if !slices.ContainsFunc(allowed, func(text string) bool { return text != "" && strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// checkSummary is the last line of a check.
func checkSummary(c gateway.Checked) string {
	if c.Errors > 0 {
		return fmt.Sprintf("%s, %s: this would not be used", plural(c.Errors, "error"), plural(c.Warnings, "warning"))
	}
	var parts []string
	for _, kind := range []string{"services", "routes", "consumers", "plugins", "upstreams"} {
		if n := c.Entities[kind]; n > 0 {
			parts = append(parts, plural(n, strings.TrimSuffix(kind, "s")))
		}
	}
	return fmt.Sprintf("%s, %s: %s", plural(len(c.Files), "file"), plural(c.Warnings, "warning"), cmp.Or(strings.Join(parts, ", "), "nothing in it"))
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (p *program) gatewayDiff() *cobra.Command {
	var against []string
	cmd := &cobra.Command{
		Use: "diff FILE...", Short: "Say what would change if these declarations were used", Args: cobra.MinimumNArgs(1),
		Long: `Say what would change if these declarations were used, instead of those that the gateway of the
running app uses, or of those of --against. The exit code is 5 if something would.`,
		RunE: runs(func(ctx context.Context, files []string) error {
			var changes []string
			if len(against) > 0 {
				found, err := gateway.Diff(against, files)
				if err != nil {
					return p.mistakes(err)
				}
				for _, c := range found {
					changes = append(changes, c.String())
				}
			} else if err := p.ask(ctx, http.MethodPost, gatewayPath+"diff", nil, map[string]any{"files": fullNames(files)}, &changes); err != nil {
				return p.theirs(err)
			}
			err := p.show(changes, func() {
				for _, c := range changes {
					p.lines(c)
				}
				if len(changes) == 0 {
					p.say("nothing would change")
				}
			})
			if err == nil && len(changes) > 0 {
				err = errFound
			}
			return err
		}),
	}
	cmd.Flags().StringArrayVar(&against, "against", nil, "files or folders that are in use now")
	return cmd
}

// foreign is what is wrong, or a line of that, where this command has found it: it does not know the plugins of other programs.
func foreign(text string) string {
	if strings.Contains(text, `name: there is no plugin "`) && !strings.Contains(text, "did you mean") {
		text += "; or it is one of a program's own, which the command does not know"
	}
	return text
}

// mistakes says what is wrong with declarations that this command has read, a line for each error, where an error is about that.
func (p *program) mistakes(err error) error { return p.mistakesOf(err, foreign) }

// theirs says what is wrong with declarations that a gateway which runs has read.
func (p *program) theirs(err error) error {
	return p.mistakesOf(err, func(line string) string { return line })
}

func (p *program) mistakesOf(err error, say func(line string) string) error {
	if err == nil {
		return nil
	}
	_, lines, found := strings.Cut(err.Error(), gateway.ErrConfiguration.Error()+"\n")
	if !found {
		return err
	}
	for line := range strings.Lines(lines) {
		p.hint("%s", say(strings.TrimSuffix(line, "\n")))
	}
	return errors.New("the declarations have errors")
}

// fullNames are the files as another process finds them.
func fullNames(files []string) []string {
	all := slices.Clone(files)
	for i, f := range all {
		if full, err := filepath.Abs(f); err == nil {
			all[i] = full
		}
	}
	return all
}

func (p *program) gatewayRoutes() *cobra.Command {
	return &cobra.Command{
		Use: "routes [FILE...]", Short: "List routes, where they lead, and the plugins that their requests meet",
		RunE: runs(func(ctx context.Context, files []string) (err error) {
			var routes []gateway.Route
			if len(files) > 0 {
				routes, err = gateway.Routes(files)
				err = p.mistakes(err)
			} else {
				err = p.ask(ctx, http.MethodGet, gatewayPath+"routes", nil, nil, &routes)
			}
			if err != nil {
				return err
			}
			return p.show(routes, func() {
				rows := make([][]string, len(routes))
				for i, r := range routes {
					rows[i] = []string{
						r.Name, cmp.Or(strings.Join(r.Methods, ","), "any"), cmp.Or(strings.Join(r.Hosts, ","), "any"),
						cmp.Or(strings.Join(r.Paths, " "), "any"), cmp.Or(strings.Join(r.Targets, ","), r.URL), strings.Join(r.Plugins, ","),
						fmt.Sprintf("%s:%d", r.File, r.Line),
					}
				}
				p.table("NAME METHODS HOSTS PATHS TO PLUGINS FILE", rows)
			})
		}),
	}
}

func (p *program) gatewayStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say what the gateway uses, and what became of the last change", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			var last gateway.Reload
			if err := p.ask(ctx, http.MethodGet, gatewayPath+"status", nil, nil, &last); err != nil {
				return err
			}
			return p.showReload(last)
		}),
	}
}

func (p *program) gatewayReload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Read the declarations again now", Args: exactly(0),
		Long: `Read the declarations again now. The gateway looks twice a second by itself; this says at once
what became of a change. The exit code is 1 if there are errors: what was in use stays in use.`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			var last gateway.Reload
			if err := p.ask(ctx, http.MethodPost, gatewayPath+"reload", nil, nil, &last); err != nil {
				return err
			}
			if err := p.showReload(last); err != nil || last.OK {
				return err
			}
			return errors.New("the declarations have errors; what was in use stays in use")
		}),
	}
}

func (p *program) showReload(last gateway.Reload) error {
	return p.show(last, func() {
		for _, problem := range last.Problems {
			p.say("%s", problem)
		}
		state := "in use"
		if !last.OK {
			state = "not used: there are errors in it"
		}
		p.fields("files", strings.Join(last.Files, " "), "read", moment(last.At), "state", state, "in use since", moment(last.Using),
			"digest", brief(last.Digest[:min(len(last.Digest), 16)]))
	})
}

func (p *program) gatewayRequests() *cobra.Command {
	var status, route string
	var limit int
	cmd := &cobra.Command{
		Use: "requests", Short: "List requests that were refused or failed lately", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{"status": {status}, "route": {route}, "max": {count(limit)}}
			var requests []gateway.Summary
			if err := p.ask(ctx, http.MethodGet, gatewayPath+"requests", query, nil, &requests); err != nil {
				return err
			}
			return p.show(requests, func() {
				rows := make([][]string, len(requests))
				for i, r := range requests {
					why := r.Reason
					if r.RefusedBy != "" {
						why = r.RefusedBy + ": " + why
					}
					rows[i] = []string{moment(r.Time), r.ID, count(r.Status), r.Method, brief(r.Host), r.Path, brief(why)}
				}
				p.table("TIME ID STATUS METHOD HOST PATH WHY", rows)
			})
		}),
	}
	cmd.Flags().StringVar(&status, "status", "", "only answers of this status, such as 401 or 5xx")
	cmd.Flags().StringVar(&route, "route", "", "only requests of this route")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	return cmd
}
