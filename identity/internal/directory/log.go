package directory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/perdure/perdure/table"
)

// maxDetail bounds the texts of an audit entry, in bytes.
const maxDetail = 1000

// Audit writes an entry to the audit log, in the unit of ctx. It gives it an id and the time, and cuts
// texts that are too long.
func (e *Env) Audit(ctx context.Context, entry *AuditEntry) error {
	row := *entry
	row.Time = e.Now()
	row.ID = newAuditID(row.Time)
	row.Actor, row.Target, row.Client = plain(row.Actor, MaxID), plain(row.Target, MaxID), plain(row.Client, MaxID)
	row.IP, row.Agent, row.Detail = plain(row.IP, 64), plain(row.Agent, 300), plain(row.Detail, maxDetail)
	if err := Audit.Insert(ctx, Key(row.ID), &row); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// plain returns at most most bytes of s, in one line.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || isInvisible(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// AuditFilter says which entries of the audit log to list. Empty fields select all.
type AuditFilter struct {
	Actor, Target string
	Types         []string
	From, To      time.Time // from From, before To
	Oldest        bool      // begin with the oldest; default the newest
	Paging
}

// AuditLog lists entries of the audit log.
func (e *Env) AuditLog(ctx context.Context, f AuditFilter) (Listing[AuditEntry], error) {
	keep := func(a *AuditEntry) bool {
		return (f.Actor == "" || a.Actor == f.Actor) && (f.Target == "" || a.Target == f.Target) &&
			(len(f.Types) == 0 || slices.Contains(f.Types, a.Type)) &&
			(f.From.IsZero() || !a.Time.Before(f.From)) && (f.To.IsZero() || a.Time.Before(f.To))
	}
	return list(f.Paging, keep, func(options ...table.ScanOption) iter.Seq2[table.Row[AuditEntry], error] {
		if !f.Oldest {
			options = append(options, table.Reverse())
		}
		switch {
		case f.Target != "" && len(f.Target) <= MaxID:
			return Audit.ScanIndex(ctx, AuditByTarget.Equal(f.Target), options...)
		case f.Actor != "" && len(f.Actor) <= MaxID:
			return Audit.ScanIndex(ctx, AuditByActor.Equal(f.Actor), options...)
		case !f.From.IsZero():
			return Audit.ScanIndex(ctx, AuditByTime.AtLeast(f.From), options...)
		}
		return Audit.Scan(ctx, "", options...)
	})
}

// AuditEntryByID returns an entry of the audit log.
func (e *Env) AuditEntryByID(ctx context.Context, id string) (*AuditEntry, error) {
	return get(ctx, Audit, "log entry", id)
}
