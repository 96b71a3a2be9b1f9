package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

// followEvery is the time between two looks at the log.
const followEvery = time.Second

// logEntry is an entry of the audit log in an answer.
type logEntry struct {
	ID          string    `json:"log_id"`
	Date        time.Time `json:"date"`
	Type        string    `json:"type"`
	Description string    `json:"description"`
	ClientID    string    `json:"client_id"`
	IP          string    `json:"ip"`
	Details     struct {
		Actor  string `json:"actor"`
		Target string `json:"target"`
	} `json:"details"`
}

func (p *program) logsCommand() *cobra.Command {
	var (
		follow    bool
		who, kind string
		limit     int
	)
	cmd := &cobra.Command{
		Use: "logs", Short: "Show who signed in, who changed what: the provider's audit log, the newest last", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			queries := []string{""}
			if kind != "" {
				queries[0] = "type:" + strconv.Quote(kind)
			}
			if who != "" {
				u, err := p.findUser(ctx, who)
				if err != nil {
					return err
				}
				and := ""
				if kind != "" {
					and = queries[0] + " AND "
				}
				id := strconv.Quote(u.V.ID)
				queries = []string{and + "details.actor:" + id, and + "details.target:" + id}
			}
			return p.showLogs(ctx, queries, limit, follow)
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on, a line each")
	cmd.Flags().StringVar(&who, "user", "", "what a user did, and what was done to the user")
	cmd.Flags().StringVar(&kind, "type", "", "entries of this type, such as login.failed")
	cmd.Flags().IntVar(&limit, "limit", control.DefaultPage, "how many to show at most, up to 1000")
	return cmd
}

// merged puts entries of several queries into the order of time, each once.
func merged(all []whole[logEntry]) []whole[logEntry] {
	slices.SortFunc(all, func(a, b whole[logEntry]) int { return cmp.Compare(a.V.ID, b.V.ID) })
	return slices.CompactFunc(all, func(a, b whole[logEntry]) bool { return a.V.ID == b.V.ID })
}

func (p *program) showLogs(ctx context.Context, queries []string, limit int, follow bool) error {
	if limit < 1 || limit > 1000 {
		return &usageError{fmt.Errorf("--limit is 1 to 1000, not %d", limit)}
	}
	mark, err := p.newestLog(ctx) // before: what comes meanwhile is not lost
	if err != nil {
		return err
	}
	var all []whole[logEntry]
	for _, q := range queries {
		found, err := p.newestLogs(ctx, q, limit)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	all = merged(all)
	all = all[max(0, len(all)-limit):]
	if !follow {
		return p.show(control.Page[whole[logEntry]]{Items: all}, func() {
			rows := make([][]string, len(all))
			for i := range all {
				e := &all[i].V
				rows[i] = []string{moment(e.Date), e.Type, e.Details.Actor, e.Details.Target, e.IP, brief(e.Description)}
			}
			p.table("TIME TYPE BY TO ADDRESS WHAT", rows)
		})
	}
	for i := range all {
		if err := p.logLine(&all[i]); err != nil {
			return err
		}
	}
	return p.followLogs(ctx, queries, mark)
}

// newestLog is the id of the last entry; empty without one.
func (p *program) newestLog(ctx context.Context) (string, error) {
	found, err := p.newestLogs(ctx, "", 1)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].V.ID, nil
}

func (p *program) newestLogs(ctx context.Context, q string, limit int) (all []whole[logEntry], err error) {
	for page := 0; len(all) < limit; page++ {
		query := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(min(limit, mostPerCall))}}
		if q != "" {
			query.Set("q", q)
		}
		var found []whole[logEntry]
		if err := p.manage(ctx, http.MethodGet, "logs", query, nil, &found); err != nil {
			return nil, err
		}
		all = append(all, found...)
		if len(found) < min(limit, mostPerCall) || (page+1)*mostPerCall >= 1000 {
			break
		}
	}
	return all[:min(len(all), limit)], nil
}

// followLogs prints what comes after the entry mark, until ctx ends.
func (p *program) followLogs(ctx context.Context, queries []string, mark string) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var all []whole[logEntry]
		until := ""
		for _, q := range queries {
			query := url.Values{"take": {strconv.Itoa(mostPerCall)}}
			if mark != "" {
				query.Set("from", mark)
			}
			if q != "" {
				query.Set("q", q)
			}
			var found []whole[logEntry]
			if err := p.manage(ctx, http.MethodGet, "logs", query, nil, &found); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			if len(found) == mostPerCall { // there may be more, before what another query has found
				if last := found[len(found)-1].V.ID; until == "" || last < until {
					until = last
				}
			}
			all = append(all, found...)
		}
		for _, e := range merged(all) {
			if until != "" && e.V.ID > until {
				break
			}
			if err := p.logLine(&e); err != nil {
				return err
			}
			mark = e.V.ID
		}
	}
}

// logLine prints an entry in one line.
func (p *program) logLine(e *whole[logEntry]) error {
	if p.json {
		text, err := json.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintln(p.out, string(printableJSON(text)))
		}
		return err
	}
	p.say("%s %s by %s to %s: %s", moment(e.V.Date), e.V.Type, cmp.Or(e.V.Details.Actor, "-"), cmp.Or(e.V.Details.Target, "-"), e.V.Description)
	return nil
}
