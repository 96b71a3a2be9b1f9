package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/perdure/perdure/internal/control"
)

// The items of a vault are reached by the interface that Azure Key Vault has, as the operator.

// vaultVersion is the version of that interface.
const vaultVersion = "7.6"

// nameLetters are those that the names of items and vaults have.
const nameLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"

// maxBackup bounds a backup that is read, in bytes.
const maxBackup = 32 << 20

// itemClient is a vault of the app.
type itemClient struct {
	p     *program
	vault string
}

// items returns a vault of the app.
func (p *program) items(vault string) *itemClient { return &itemClient{p, vault} }

// do sends a request for a path of at.
func (c *itemClient) do(ctx context.Context, method, path string, body, out any) error {
	return c.ask(ctx, method, path, url.Values{}, body, out)
}

func (c *itemClient) ask(ctx context.Context, method, path string, query url.Values, body, out any) error {
	for part := range strings.SplitSeq(path, "/") {
		if strings.Trim(part, nameLetters) != "" || part == "" {
			return &usageError{fmt.Errorf("%q is no name: it has letters, digits and hyphens", part)}
		}
	}
	query.Set("api-version", vaultVersion)
	return c.p.ask(ctx, method, vaultPath+at("items", c.vault)+"/"+path, query, body, out)
}

// item is a version of a secret, a key or a certificate, as far as all have it.
type item struct {
	ID          string            `json:"id"`
	KID         string            `json:"kid"` // of keys, and of secrets of certificates
	ContentType string            `json:"contentType"`
	Attributes  attributes        `json:"attributes"`
	Tags        map[string]string `json:"tags"`
	Managed     bool              `json:"managed"`
	Deleted     int64             `json:"deletedDate"`
	Purged      int64             `json:"scheduledPurgeDate"`
}

// attributes are those of every item. Times are in seconds since 1970.
type attributes struct {
	Enabled   bool  `json:"enabled"`
	NotBefore int64 `json:"nbf"`
	Expires   int64 `json:"exp"`
	Created   int64 `json:"created"`
	Updated   int64 `json:"updated"`
}

// since1970 writes a time in seconds since 1970; empty for none.
func since1970(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return moment(time.Unix(seconds, 0))
}

// state says whether an item can be used.
func (i *item) state() string {
	now := time.Now().Unix()
	switch a := &i.Attributes; {
	case i.Deleted != 0:
		return "deleted"
	case !a.Enabled:
		return "disabled"
	case a.Expires != 0 && a.Expires <= now:
		return "expired"
	case a.NotBefore > now:
		return "not yet valid"
	}
	return "enabled"
}

// named splits the id of an item, a URL.
func (i *item) named() (name, version string) {
	id := i.ID
	if id == "" {
		id = i.KID
	}
	parts := strings.Split(strings.TrimPrefix(id, "https://"), "/")
	if len(parts) > 2 {
		name = parts[2]
	}
	if len(parts) > 3 {
		version = parts[3]
	}
	return name, version
}

// tagText writes tags in a cell.
func tagText(tags map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, name+"="+tags[name])
	}
	return strings.Join(all, " ")
}

// list asks for a list until it has limit items, or all for zero.
func (c *itemClient) list(ctx context.Context, path string, limit int) (control.Page[whole[item]], error) {
	all := control.Page[whole[item]]{Items: []whole[item]{}}
	query := url.Values{}
	for {
		var page struct {
			Value []whole[item] `json:"value"`
			Next  *string       `json:"nextLink"`
		}
		if err := c.ask(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return all, err
		}
		all.Items, all.Next = append(all.Items, page.Value...), ""
		if page.Next != nil {
			next, err := url.Parse(*page.Next)
			if err != nil {
				return all, fmt.Errorf("read the answer: %w", err)
			}
			all.Next = next.Query().Get("$skiptoken")
		}
		query.Set("$skiptoken", all.Next)
		if limit > 0 && len(all.Items) > limit {
			all.Items = all.Items[:limit]
			if all.Next == "" {
				all.Next = "more"
			}
		}
		if all.Next == "" || limit > 0 && len(all.Items) == limit {
			return all, nil
		}
	}
}

// itemCommands are those that every kind has. Noun is what one is called.
func (p *program) itemCommands(kind, noun string, vault *string) []*cobra.Command {
	return []*cobra.Command{
		p.itemList(kind, vault), p.itemVersions(kind, noun, vault), p.itemDelete(kind, noun, vault), p.itemRecover(kind, noun, vault),
		p.itemPurge(kind, noun, vault), p.itemBackup(kind, noun, vault), p.itemRestore(kind, noun, vault),
	}
}

func (p *program) itemList(kind string, vault *string) *cobra.Command {
	var (
		deleted bool
		limit   int
	)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List " + kind + " by name", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			path, heading := kind, "NAME STATE EXPIRES UPDATED CONTENT-TYPE TAGS"
			if deleted {
				path, heading = "deleted"+kind, "NAME DELETED PURGED-AT TAGS"
			}
			page, err := p.items(*vault).list(ctx, path, limit)
			if err != nil {
				return err
			}
			return p.show(page, func() {
				rows := make([][]string, len(page.Items))
				for i := range page.Items {
					one := &page.Items[i].V
					name, _ := one.named()
					if deleted {
						rows[i] = []string{name, since1970(one.Deleted), since1970(one.Purged), tagText(one.Tags)}
						continue
					}
					content := one.ContentType
					if one.Managed {
						content = "of the certificate"
					}
					rows[i] = []string{name, one.state(), since1970(one.Attributes.Expires), since1970(one.Attributes.Updated), content, tagText(one.Tags)}
				}
				p.table(heading, rows)
				p.more(page.Next)
			})
		}),
	}
	cmd.Flags().BoolVar(&deleted, "deleted", false, "those that were deleted and can be recovered")
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) itemVersions(kind, noun string, vault *string) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "versions NAME", Short: "List the versions of a " + noun, Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			page, err := p.items(*vault).list(ctx, at(kind, args[0], "versions"), limit)
			if err != nil {
				return err
			}
			if len(page.Items) == 0 {
				return missing(noun, args[0])
			}
			return p.show(page, func() {
				rows := make([][]string, len(page.Items))
				for i := range page.Items {
					one := &page.Items[i].V
					_, version := one.named()
					rows[i] = []string{version, one.state(), since1970(one.Attributes.Created), since1970(one.Attributes.Expires), one.ContentType, tagText(one.Tags)}
				}
				p.table("VERSION STATE CREATED EXPIRES CONTENT-TYPE TAGS", rows)
				p.more(page.Next)
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) itemDelete(kind, noun string, vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a " + noun + ", which can be recovered for some time", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var deleted whole[item]
			if err := p.items(*vault).do(ctx, http.MethodDelete, at(kind, args[0]), nil, &deleted); err != nil {
				return err
			}
			return p.show(deleted, func() {
				p.say("The %s %s was deleted. It can be recovered until %s.", noun, args[0], since1970(deleted.V.Purged))
			})
		}),
	}
}

func (p *program) itemRecover(kind, noun string, vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "recover NAME", Short: "Recover a deleted " + noun, Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := p.items(*vault).do(ctx, http.MethodPost, at("deleted"+kind, args[0], "recover"), nil, nil); err != nil {
				return err
			}
			return p.done("The %s %s was recovered.", noun, args[0])
		}),
	}
}

func (p *program) itemPurge(kind, noun string, vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "purge NAME", Short: "Remove a deleted " + noun + " for good", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := p.items(*vault).do(ctx, http.MethodDelete, at("deleted"+kind, args[0]), nil, nil); err != nil {
				return err
			}
			return p.done("The %s %s was removed for good.", noun, args[0])
		}),
	}
}

// sealed is a backup in an answer and a request.
type sealed struct {
	Value string `json:"value"`
}

func (p *program) itemBackup(kind, noun string, vault *string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "backup NAME", Short: "Write all versions of a " + noun + ", sealed, to a file", Args: exactly(1),
		Long: `Write all versions of a ` + noun + `, sealed, to a file or to standard output. Only a vault of an
app with the same keyring opens it.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			var backup sealed
			if err := p.items(*vault).do(ctx, http.MethodPost, at(kind, args[0], "backup"), nil, &backup); err != nil {
				return err
			}
			return p.writeOut(file, []byte(backup.Value+"\n"))
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "write it there, to a new file; default standard output")
	return cmd
}

func (p *program) itemRestore(kind, noun string, vault *string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "restore", Short: "Restore a " + noun + " from a backup", Args: exactly(0),
		Long: "Restore a " + noun + ` that backup has written, under its name, which must be free. The backup is read from
standard input or a file.`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			text, err := p.readIn(file, maxBackup)
			if err != nil {
				return err
			}
			var restored whole[struct {
				item
				Key struct { // of keys
					KID string `json:"kid"`
				} `json:"key"`
			}]
			if err := p.items(*vault).do(ctx, http.MethodPost, at(kind, "restore"), sealed{strings.TrimSpace(string(text))}, &restored); err != nil {
				return err
			}
			i := &restored.V.item
			if i.ID == "" {
				i.KID = restored.V.Key.KID
			}
			name, _ := i.named()
			return p.show(restored, func() { p.say("The %s %s was restored.", noun, name) })
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "read it from there; default standard input")
	return cmd
}

// onTerminal reports whether a reader or writer is a terminal.
func onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
