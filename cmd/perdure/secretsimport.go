package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// maxImport bounds a file that is imported, in bytes.
const maxImport = 4 << 20

// imported is a secret that is to be set.
type imported struct {
	From    string `json:"from"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	secret  secret
}

func (p *program) secretsImport(vault *string) *cobra.Command {
	var (
		prefix, from, ca string
		dry              bool
	)
	cmd := &cobra.Command{
		Use: "import [FILE]", Short: "Import secrets from a .env file, a JSON object or another Key Vault",
		Long: `Import secrets from a .env file or a JSON object ("-" is standard input), or by --from from
another Key Vault: of Azure, or of Perdure. There you are who DefaultAzureCredential finds.
Each becomes a new version of the secret of its name; names get hyphens for what they cannot
have. Names are printed, values never.`,
		Example: `  perdure secrets import .env --prefix weather-
  perdure secrets import --from https://weather.vault.azure.net --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (from != "") || len(args) > 1 {
				return errors.New("want a file, or --from with the URL of a vault")
			}
			return nil
		},
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			var all []imported
			if from != "" {
				all, err = p.fromVault(ctx, from, ca)
			} else {
				all, err = p.fromFile(args[0])
			}
			if err == nil {
				err = nameImported(all, prefix)
			}
			if err != nil {
				return err
			}
			if !dry {
				all, err = p.setImported(ctx, *vault, all)
			}
			return errors.Join(p.showImported(all, dry), err)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&prefix, "prefix", "", "put this in front of the names")
	f.StringVar(&from, "from", "", "URL of another Key Vault")
	f.StringVar(&ca, "ca", "", "PEM file of the authority that has signed the certificate there; default the system's")
	f.BoolVar(&dry, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

// fromFile reads the secrets of a file.
func (p *program) fromFile(name string) ([]imported, error) {
	path := name
	if name == "-" {
		path = ""
	}
	text, err := p.readIn(path, maxImport)
	if err != nil {
		return nil, err
	}
	var read []variable
	if filepath.Ext(name) == ".json" || bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		read, err = parseJSONVariables(text)
	} else {
		read, err = parseDotenv(string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	all := make([]imported, 0, len(read))
	for _, v := range read {
		if v.value == "" {
			p.hint("%s has no value, and is left out.", v.name)
			continue
		}
		if len(v.value) > maxSecretValue {
			return nil, fmt.Errorf("%s: %s has more than %d bytes", name, v.name, maxSecretValue)
		}
		one := imported{From: v.name, secret: secret{Value: v.value}}
		one.secret.Attributes.Enabled = true
		all = append(all, one)
	}
	return all, nil
}

// fromVault reads the secrets of another vault.
func (p *program) fromVault(ctx context.Context, at, ca string) ([]imported, error) {
	from, err := newRemoteVault(at, ca)
	if err != nil {
		return nil, err
	}
	found, err := from.names(ctx)
	if err != nil {
		return nil, err
	}
	var all []imported
	for i := range found {
		name, _ := found[i].named()
		if !found[i].Attributes.Enabled || found[i].Managed {
			p.hint("%s is left out: it is disabled, or a certificate's.", name)
			continue
		}
		got, err := from.get(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, imported{From: name, secret: *got})
	}
	return all, nil
}

// nameImported gives names that a vault takes. Nothing is imported when two become one.
func nameImported(all []imported, prefix string) error {
	taken := map[string]string{}
	for i := range all {
		one := &all[i]
		one.Name = prefix + strings.Map(func(r rune) rune {
			if strings.ContainsRune(nameLetters, r) {
				return r
			}
			return '-'
		}, one.From)
		const most = 127
		if strings.Trim(prefix, nameLetters) != "" || len(one.Name) > most || one.Name == "" {
			return &usageError{fmt.Errorf("%.80q, %q in front: a name has 1 to %d letters, digits and hyphens", one.From, prefix, most)}
		}
		folded := strings.ToLower(one.Name)
		if other, ok := taken[folded]; ok {
			return fmt.Errorf("%q and %q would both be the secret %s: nothing was imported", other, one.From, one.Name)
		}
		taken[folded] = one.From
	}
	return nil
}

// setImported sets them, and returns those that were set.
func (p *program) setImported(ctx context.Context, vault string, all []imported) ([]imported, error) {
	for i := range all {
		one := &all[i]
		body := map[string]any{"value": one.secret.Value}
		if one.secret.ContentType != "" {
			body["contentType"] = one.secret.ContentType
		}
		if len(one.secret.Tags) > 0 {
			body["tags"] = maps.Clone(one.secret.Tags)
		}
		times := map[string]any{}
		if one.secret.Attributes.Expires != 0 {
			times["exp"] = one.secret.Attributes.Expires
		}
		if one.secret.Attributes.NotBefore != 0 {
			times["nbf"] = one.secret.Attributes.NotBefore
		}
		body["attributes"] = times
		var set item
		if err := p.items(vault).do(ctx, http.MethodPut, at(secretKind, one.Name), body, &set); err != nil {
			return all[:i], fmt.Errorf("%s: %w; %d of %d were imported", one.Name, err, i, len(all))
		}
		_, one.Version = set.named()
	}
	return all, nil
}

// showImported prints names.
func (p *program) showImported(all []imported, dry bool) error {
	return p.show(map[string]any{"items": all, "dry_run": dry}, func() {
		var renamed [][]string
		for i := range all {
			p.say("%s", all[i].Name)
			if !strings.HasSuffix(all[i].Name, all[i].From) {
				renamed = append(renamed, []string{all[i].From, all[i].Name})
			}
		}
		if len(renamed) > 0 {
			p.hint("These have other names now, since names have letters, digits and hyphens:")
			(&program{out: p.err}).table("WAS IS", renamed)
		}
		what := "were imported"
		if dry {
			what = "would be imported"
		}
		p.hint("%d %s.", len(all), what)
	})
}
