package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// change is what is set of an item's attributes.
type change struct {
	contentType        string
	expires, notBefore instant
	tags               []string
	disabled, enabled  bool

	flags *pflag.FlagSet
}

// changeFlags adds the flags of a change. Again says that the item is there already.
func changeFlags(cmd *cobra.Command, c *change, again bool) {
	f := cmd.Flags()
	c.flags = f
	f.Var(&c.expires, "expires", "end of its use: 90d, 2027-01-02, 2027-01-02T03:04:05Z")
	f.Var(&c.notBefore, "not-before", "beginning of its use, written likewise")
	if again {
		f.StringArrayVar(&c.tags, "tag", nil, "KEY=VALUE instead of the tags that are there; may come several times")
		f.BoolVar(&c.enabled, "enabled", false, "let it be used again")
		f.BoolVar(&c.disabled, "disabled", false, "let nobody use it")
		cmd.MarkFlagsMutuallyExclusive("enabled", "disabled")
		return
	}
	f.StringArrayVar(&c.tags, "tag", nil, "KEY=VALUE; may come several times")
	f.BoolVar(&c.disabled, "disabled", false, "let nobody use it yet")
}

// contentTypeFlag adds the flag of secrets alone.
func contentTypeFlag(cmd *cobra.Command, c *change) {
	cmd.Flags().StringVar(&c.contentType, "content-type", "", "what the value is, for people and programs")
}

// tagMap reads the tags; nil for none.
func (c *change) tagMap() (map[string]string, error) {
	if len(c.tags) == 0 {
		return nil, nil
	}
	tags := map[string]string{}
	for _, tag := range c.tags {
		name, value, ok := strings.Cut(tag, "=")
		if !ok || name == "" {
			return nil, &usageError{fmt.Errorf("--tag %q: want KEY=VALUE", tag)}
		}
		tags[name] = value
	}
	return tags, nil
}

// body adds what is changed to a request. It reports whether that is anything.
func (c *change) body(to map[string]any) (anything bool, err error) {
	tags, err := c.tagMap()
	if err != nil {
		return false, err
	}
	set := map[string]any{}
	if c.disabled || c.enabled {
		set["enabled"] = !c.disabled
	}
	if exp := c.expires.unix(); exp != nil {
		set["exp"] = *exp
	}
	if nbf := c.notBefore.unix(); nbf != nil {
		set["nbf"] = *nbf
	}
	if len(set) > 0 {
		to["attributes"], anything = set, true
	}
	if tags != nil {
		to["tags"], anything = tags, true
	}
	if c.flags.Changed("content-type") {
		to["contentType"], anything = c.contentType, true
	}
	return anything, nil
}

// itemUpdate changes what is not the value of an item.
func (p *program) itemUpdate(kind, noun string, vault *string) *cobra.Command {
	var (
		c       change
		version string
	)
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change when a " + noun + " can be used, and what is noted of it", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			body := map[string]any{}
			anything, err := c.body(body)
			if err != nil {
				return err
			}
			if !anything {
				return &usageError{errors.New("nothing was said to change")}
			}
			path := at(kind, args[0])
			if version != "" {
				path = at(kind, args[0], version)
			}
			if err := p.items(*vault).do(ctx, http.MethodPatch, path, body, nil); err != nil {
				return err
			}
			return p.done("The %s %s was changed.", noun, args[0])
		}),
	}
	cmd.Flags().StringVar(&version, "version", "", "the version to change; default the current one")
	changeFlags(cmd, &c, true)
	if kind == itemKinds[0] {
		contentTypeFlag(cmd, &c)
	}
	return cmd
}
