package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Read the vault's audit log, and prove that it is whole", Args: cobra.NoArgs,
		Long: `Read the vault's audit log, and prove that it is whole. Its entries are a chain, whose end
is signed again and again: a head. Where heads are kept elsewhere, a log that was changed or
cut is found out.`,
	}
	cmd.AddCommand(p.auditList(), p.auditWho(), p.auditVerify(), p.auditHead(), p.auditKey(), p.auditExport())
	return cmd
}

// auditRecord is an entry with its link, in an answer.
type auditRecord struct {
	Entry auditEntry `json:"entry"`
	Hash  string     `json:"hash"`
}

// auditEntry says who did what.
type auditEntry struct {
	Actor    string    `json:"actor"`
	Count    int       `json:"count"`
	Detail   string    `json:"detail"`
	Display  string    `json:"display"`
	IP       string    `json:"ip"`
	Issuer   string    `json:"issuer"`
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Node     string    `json:"node"`
	Op       string    `json:"op"`
	Position uint64    `json:"position"`
	Result   string    `json:"result"`
	Time     time.Time `json:"time"`
	Vault    string    `json:"vault"`
	Version  string    `json:"version"`
}

// called is what to call an actor.
func called(actor, display, issuer string) string {
	name := cmp.Or(actor, "somebody unknown")
	if display != "" {
		name = display + " (" + actor + ")"
	}
	if issuer != "" {
		name += " of " + issuer
	}
	return name
}

// actorNames are what managed identities and applications are called, by subject: their tokens do not say.
func (p *program) actorNames(ctx context.Context) map[string]string {
	names := map[string]string{}
	identities, _, err := listOf[managedIdentity](ctx, p, "managed-identities", "managed_identities", nil, 0)
	if err != nil {
		return names // the app has no provider
	}
	for i := range identities {
		names[identities[i].V.ID] = identities[i].V.Name
	}
	apps, _, _ := listOf[application](ctx, p, "clients", "clients", nil, 0)
	for i := range apps {
		names[apps[i].V.ClientID] = apps[i].V.Name
		names[apps[i].V.ClientID+"@clients"] = apps[i].V.Name
	}
	return names
}

func (e *auditEntry) row(names map[string]string) []string {
	result := e.Result
	if e.Count > 0 {
		result = fmt.Sprintf("%s %d times", result, e.Count)
	}
	name := strings.Trim(e.Vault+"/"+e.Kind+"/"+e.Name, "/")
	if e.Version != "" {
		name += "/" + e.Version[:min(8, len(e.Version))]
	}
	return []string{count(e.Position), e.Time.UTC().Format(time.RFC3339), called(e.Actor, cmp.Or(e.Display, names[e.Actor]), e.Issuer), e.Op, name, result, e.Detail}
}

// auditFilter says which entries to list.
type auditFilter struct {
	item, actor, vault, result string
	ops                        []string
	since, until               instant
}

// auditFlags adds the flags of a filter.
func auditFlags(cmd *cobra.Command, f *auditFilter) {
	f.since.past, f.until.past = true, true
	flags := cmd.Flags()
	flags.StringVar(&f.item, "item", "", "about this item: secrets/NAME, keys/NAME, certificates/NAME")
	flags.StringVar(&f.actor, "actor", "", `by this subject, as "list" shows it; operator is the user of the machine`)
	flags.StringSliceVar(&f.ops, "ops", nil, "of these operations: get, set, sign and so on")
	flags.StringVar(&f.result, "result", "", "ok or refused")
	flags.Var(&f.since, "since", "since then: 24h, 7d, 2027-01-02, 2027-01-02T03:04:05Z")
	flags.Var(&f.until, "until", "before then")
	flags.StringVar(&f.vault, "vault", "", "in this vault; default all, and with --item "+defaultVault)
}

func (f *auditFilter) query() (url.Values, error) {
	q := url.Values{}
	if f.item != "" {
		kind, name, err := itemNamed(f.item)
		if err != nil {
			return nil, err
		}
		q.Set("kind", kind)
		q.Set("name", name)
		q.Set("vault", cmp.Or(f.vault, defaultVault))
	}
	for name, value := range map[string]string{
		"actor": f.actor, "vault": f.vault, "result": f.result, "ops": strings.Join(f.ops, ","), "from": moment(f.since.Time), "to": moment(f.until.Time),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q, nil
}

func (p *program) auditList() *cobra.Command {
	var (
		f     auditFilter
		limit int
	)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List entries, the newest first", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			query, err := f.query()
			if err != nil {
				return err
			}
			names := p.actorNames(ctx)
			return showVaultList(ctx, p, "audit", query, limit, "POSITION TIME WHO DID WHAT RESULT DETAIL", func(r *auditRecord) []string {
				return r.Entry.row(names)
			})
		}),
	}
	auditFlags(cmd, &f)
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) auditWho() *cobra.Command {
	type use struct {
		Actor   string         `json:"actor"`
		Issuer  string         `json:"issuer"`
		Display string         `json:"display"`
		Ops     map[string]int `json:"ops"`
		First   time.Time      `json:"first"`
		Last    time.Time      `json:"last"`
	}
	var (
		kind, vault, version string
		since                = instant{past: true}
		ops                  []string
	)
	cmd := &cobra.Command{
		Use: "who NAME", Short: "List who has read a secret since a time, or used a key", Args: exactly(1),
		Long: `List who has read a secret, with how often and when last. With --kind keys it is who has
used the key; --ops says which operations count.`,
		Example: `  perdure vault audit who db-password --since 24h`,
		RunE: runs(func(ctx context.Context, args []string) error {
			query := url.Values{"uses": {"true"}, "kind": {itemKind(kind)}, "name": {args[0]}, "vault": {vault}, "version": {version}}
			if !since.IsZero() {
				query.Set("from", moment(since.Time))
			}
			if len(ops) == 0 && itemKind(kind) == secretKind {
				ops = []string{"get"}
			}
			query.Set("ops", strings.Join(ops, ","))
			names := p.actorNames(ctx)
			return showVaultList(ctx, p, "audit", query, 0, "WHO DID FIRST LAST", func(u *use) []string {
				var did []string
				for _, op := range slices.Sorted(maps.Keys(u.Ops)) {
					did = append(did, fmt.Sprintf("%s %d times", op, u.Ops[op]))
				}
				return []string{called(u.Actor, cmp.Or(u.Display, names[u.Actor]), u.Issuer), strings.Join(did, ", "), moment(u.First), moment(u.Last)}
			})
		}),
	}
	ofVault(cmd, &vault)
	f := cmd.Flags()
	f.StringVar(&kind, "kind", secretKind, "kind of the item: secrets, keys, certificates")
	f.StringVar(&version, "version", "", "of this version alone")
	f.Var(&since, "since", "since then: 24h, 7d, 2027-01-02; default as long as entries are kept")
	f.StringSliceVar(&ops, "ops", nil, "operations that count; default get for secrets, all for others")
	return cmd
}

// checkpoint is a head, in an answer and in a file.
type checkpoint struct {
	Kind     string    `json:"kind"`
	Node     string    `json:"node"`
	Position uint64    `json:"position"`
	Hash     string    `json:"hash"`
	Time     time.Time `json:"time"`
}

// auditStatus says how the log does.
type auditStatus struct {
	Node      string `json:"node"`
	PublicKey string `json:"public_key"`
	Position  uint64 `json:"position"`
	Sinks     []struct {
		Name  string `json:"name"`
		Error string `json:"error"`
	} `json:"sinks"`
	Error string `json:"error"`
}

func (p *program) auditHead() *cobra.Command {
	return &cobra.Command{
		Use: "head", Short: "Sign how the log stands now, and print that", Args: exactly(0),
		Long: `Sign how the log stands now, and print that as a line of JSON, to be kept where who can write
the data folder cannot. "verify --head" compares the log with it. It also goes where
Config.Vault.Audit says.`,
		Example: `  perdure vault audit head | ssh elsewhere 'cat >> heads.jsonl'`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			var now struct {
				Head   *whole[checkpoint] `json:"head"`
				Status whole[auditStatus] `json:"status"`
			}
			if err := p.ask(ctx, http.MethodPost, vaultPath+"audit/heads", nil, nil, &now); err != nil {
				return err
			}
			if now.Head == nil {
				return missing("entry in", "the log")
			}
			return p.show(now, func() {
				fmt.Fprintln(p.out, string(now.Head.raw))
				p.hint("It is signed by the key %s, which belongs where it is kept.", now.Status.V.PublicKey)
				for _, s := range now.Status.V.Sinks {
					if s.Error != "" {
						p.hint("%s does not get heads: %s", s.Name, s.Error)
					}
				}
			})
		}),
	}
}

func (p *program) auditKey() *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public key that verifies heads", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			var status whole[auditStatus]
			if err := p.ask(ctx, http.MethodGet, vaultPath+"audit/status", nil, nil, &status); err != nil {
				return err
			}
			return p.show(status, func() { p.say("%s", status.V.PublicKey) })
		}),
	}
}

func (p *program) auditExport() *cobra.Command {
	var (
		f    auditFilter
		file string
	)
	cmd := &cobra.Command{
		Use: "export", Short: "Write entries, the oldest first, as lines of JSON", Args: exactly(0),
		Long: `Write entries, the oldest first, as lines of JSON: each an entry in the form that was hashed,
and its link. So others can compute the chain: the link of an entry is the SHA-256 of the link
before and the entry.`,
		RunE: runs(func(ctx context.Context, _ []string) (err error) {
			query, err := f.query()
			if err != nil {
				return err
			}
			query.Set("oldest", "true")
			query.Set("max", "1000")
			out := p.out
			if file != "" {
				to, fault := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if fault != nil {
					return fault
				}
				defer func() { err = errors.Join(err, to.Close()) }()
				out = to
			}
			for {
				var page struct {
					Items []json.RawMessage `json:"items"`
					Next  string            `json:"next"`
				}
				if err := p.ask(ctx, http.MethodGet, vaultPath+"audit", query, nil, &page); err != nil {
					return err
				}
				for _, line := range page.Items {
					if _, err := fmt.Fprintln(out, string(line)); err != nil {
						return err
					}
				}
				if page.Next == "" {
					return nil
				}
				query.Set("cursor", page.Next)
			}
		}),
	}
	auditFlags(cmd, &f)
	cmd.Flags().StringVar(&file, "file", "", "write them to a new file; default standard output")
	return cmd
}
