package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/control"
)

// listed are the kinds of things that ls shows.
var listed = []string{"instances", "functions", "queues", "streams", "tables", "blobs", "deadletters", "timers"}

// lsOptions are the flags of ls.
type lsOptions struct {
	states, tags []string
	name, prefix string
	limit        int
}

func (p *program) lsCommand() *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:       "ls [" + strings.Join(listed, "|") + "]",
		Short:     "List what the app has; without a kind, say how it is",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: listed,
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.states, "state", nil, "instances in these states alone, such as Running,Stalled")
	f.StringVar(&o.name, "name", "", "instances of this orchestration alone")
	f.StringVar(&o.prefix, "prefix", "", "instances whose ids begin so")
	f.StringArrayVar(&o.tags, "tag", nil, "instances with this tag alone: name=value")
	limitFlag(cmd, &o.limit)
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return p.overview(ctx)
		}
		switch args[0] {
		case "instances":
			return p.lsInstances(ctx, o)
		case "deadletters":
			return p.lsDeadLetters(ctx, control.Selection{}, o.limit)
		case "functions":
			return list(ctx, p, "functions", "NAME TRIGGER SOURCE DEPTH OLDEST DEAD", func(f control.Function) []string {
				return []string{f.Name, f.Trigger, f.Source, count(f.Depth), moment(f.Oldest), count(f.DeadLetters)}
			})
		case "queues":
			return list(ctx, p, "queues", "NAME DEPTH OLDEST", func(q control.Queue) []string {
				return []string{q.Name, count(q.Depth), moment(q.Oldest)}
			})
		case "streams":
			return list(ctx, p, "streams", "NAME PARTITIONS GROUPS LAG", func(s control.Stream) []string {
				var lag uint64
				for _, g := range s.Groups {
					lag += g.Lag
				}
				return []string{s.Name, fmt.Sprint(len(s.Partitions)), count(len(s.Groups)), count(lag)}
			})
		case "tables":
			return list(ctx, p, "tables", "NAME", func(t control.Table) []string { return []string{t.Name} })
		case "blobs":
			return list(ctx, p, "blobs", "CONTAINER", func(c control.Container) []string { return []string{c.Name} })
		default:
			return list(ctx, p, "timers", "FUNCTION SCHEDULE NEXT LAST", func(t control.Timer) []string {
				return []string{t.Function, t.Schedule, moment(t.Next), moment(t.Last)}
			})
		}
	})
	return cmd
}

// list shows a list that has one page.
func list[T any](ctx context.Context, p *program, path, heading string, row func(T) []string) error {
	var page control.Page[T]
	if err := p.ask(ctx, http.MethodGet, path, nil, nil, &page); err != nil {
		return err
	}
	return p.show(page, func() {
		rows := make([][]string, len(page.Items))
		for i, one := range page.Items {
			rows[i] = row(one)
		}
		p.table(heading, rows)
	})
}

// overview says how the app is.
func (p *program) overview(ctx context.Context) error {
	var all struct {
		control.Info
		control.Counts
	}
	if err := p.ask(ctx, http.MethodGet, "info", nil, nil, &all.Info); err != nil {
		return err
	}
	if err := p.ask(ctx, http.MethodGet, "counts", nil, nil, &all.Counts); err != nil {
		return err
	}
	return p.show(all, func() {
		health := "works"
		if !all.Healthy {
			health = "cannot go on; its log says why"
		}
		app := strings.TrimSpace(all.Title + " " + all.Version)
		pairs := []string{
			"app", app, "state", health, "url", all.URL, "data", all.Data, "process", fmt.Sprint(all.Process),
			"perdure", all.Perdure, "running for", (time.Duration(all.Uptime) * time.Second).String(),
		}
		var states []string
		for state, n := range all.Instances {
			if n > 0 {
				states = append(states, fmt.Sprintf("%d %s", n, state))
			}
		}
		slices.Sort(states)
		p.fields(append(pairs, "instances", strings.Join(states, ", "), "dead letters", count(all.DeadLetters))...)
	})
}

func (p *program) lsInstances(ctx context.Context, o lsOptions) error {
	query := url.Values{"state": o.states, "tag": o.tags}
	for name, value := range map[string]string{"name": o.name, "prefix": o.prefix} {
		if value != "" {
			query.Set(name, value)
		}
	}
	page, err := pages[control.Instance](ctx, p, "instances", query, o.limit)
	if err != nil {
		return err
	}
	return p.show(page, func() {
		rows := make([][]string, len(page.Items))
		for i, one := range page.Items {
			why := one.Reason
			if one.State == durable.Failed {
				why = one.Error
			}
			rows[i] = []string{one.ID, one.Name, string(one.State), moment(one.Created), brief(why)}
		}
		p.table("ID NAME STATE CREATED REASON", rows)
		p.more(page.Next)
	})
}
