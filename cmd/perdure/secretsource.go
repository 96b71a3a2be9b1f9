package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// secretSource is where a command reads secrets: the vault of the app, or another over the network.
type secretSource interface {
	// get returns a current version. Ref is NAME, or VAULT/NAME for another vault of the app.
	get(ctx context.Context, ref string) (*secret, error)
	// names lists secrets by name.
	names(ctx context.Context) ([]item, error)
}

// get implements secretSource.
func (c *itemClient) get(ctx context.Context, ref string) (*secret, error) {
	s := &secret{}
	name := ref
	if vault, short, ok := strings.Cut(ref, "/"); ok {
		c, name = c.p.items(vault), short
	}
	return s, c.do(ctx, http.MethodGet, at(secretKind, name), nil, s)
}

// names implements secretSource.
func (c *itemClient) names(ctx context.Context) ([]item, error) {
	page, err := c.list(ctx, secretKind, 0)
	if err != nil {
		return nil, err
	}
	all := make([]item, len(page.Items))
	for i := range page.Items {
		all[i] = page.Items[i].V
	}
	return all, nil
}

// selection says which secrets become variables of an environment.
type selection struct {
	secrets []string // VARIABLE=NAME
	files   []string
	prefix  string
	url, ca string
}

// secretFlags adds the flags of a selection.
func secretFlags(cmd *cobra.Command, s *selection) {
	f := cmd.Flags()
	f.StringArrayVar(&s.secrets, "secret", nil, "VARIABLE=NAME: the secret NAME as a variable; may come several times")
	f.StringArrayVar(&s.files, "env-file", nil, "file with lines VARIABLE=vault:NAME, and VARIABLE=VALUE for what is no secret; may come several times")
	f.StringVar(&s.prefix, "from-prefix", "", "all secrets whose names begin so; what follows is the variable, as in db-password, DB_PASSWORD")
	f.StringVar(&s.url, "url", "", "read over the network from the vault at this URL, as the managed identity or application of the environment")
	f.StringVar(&s.ca, "ca", "", "PEM file of the authority that has signed the certificate there; default the system's")
}

// source is where a selection is read.
func (p *program) source(s *selection, vault string) (secretSource, error) {
	if s.url != "" {
		return newRemoteVault(s.url, s.ca)
	}
	if s.ca != "" {
		return nil, &usageError{errors.New("--ca is for --url")}
	}
	return p.items(vault), nil
}

// vaultPrefix begins the reference to a secret.
const vaultPrefix = "vault:"

// Who may write secrets of a prefix must not steer a program beyond what it takes them for: these variables are not set by
// a prefix, nor are those that begin so.
var (
	steering = []string{
		"PATH", "IFS", "ENV", "SHELLOPTS", "PS4", "HOME", "SHELL", "EDITOR", "VISUAL", "PAGER", "GCONV_PATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GODEBUG", "RES_OPTIONS", "HOSTALIASES", "PROMPT_COMMAND", "_JAVA_OPTIONS",
	}
	steeringBegins = []string{
		"BASH_", "LD_", "DYLD_", "GLIBC_", "MALLOC_", "NODE_", "NPM_", "PYTHON", "PERL5", "RUBY", "GIT_", "SSH_", "SSL_", "CURL_", "PERDURE_", "IDENTITY_", "AZURE_",
	}
)

// steers reports whether a variable steers programs.
func steers(name string) bool {
	return slices.Contains(steering, name) || slices.ContainsFunc(steeringBegins, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// read reads the secrets of a selection, and returns the variables in the order of their names. What is named stands above what a file has, and that above what
// a prefix finds.
func (s *selection) read(ctx context.Context, from secretSource, warn func(format string, args ...any)) ([]variable, error) {
	values := map[string]string{}
	set := func(name, value string) error {
		if strings.ContainsRune(value, 0) {
			return fmt.Errorf("the secret for %s has a zero byte in it, which no environment can have", name)
		}
		values[name] = value
		return nil
	}
	fetch := func(name, ref string) error {
		got, err := from.get(ctx, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return set(name, got.Value)
	}
	if s.prefix != "" {
		if err := s.readPrefix(ctx, from, fetch, warn); err != nil {
			return nil, err
		}
	}
	for _, file := range s.files {
		if err := s.readFile(file, fetch, set); err != nil {
			return nil, err
		}
	}
	for _, one := range s.secrets {
		name, ref, ok := strings.Cut(one, "=")
		if !ok || !isVariable(name) {
			return nil, &usageError{fmt.Errorf("--secret %q: want VARIABLE=NAME", one)}
		}
		if err := fetch(name, strings.TrimPrefix(ref, vaultPrefix)); err != nil {
			return nil, err
		}
	}
	if len(s.secrets) == 0 && len(s.files) == 0 && s.prefix == "" {
		return nil, &usageError{errors.New("no secrets were named: --secret VARIABLE=NAME, --env-file or --from-prefix")}
	}
	all := make([]variable, 0, len(values))
	for name, value := range values {
		all = append(all, variable{name, value})
	}
	slices.SortFunc(all, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func (s *selection) readPrefix(ctx context.Context, from secretSource, fetch func(name, ref string) error, warn func(format string, args ...any)) error {
	all, err := from.names(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		ref, _ := all[i].named()
		if len(ref) < len(s.prefix) || !strings.EqualFold(ref[:len(s.prefix)], s.prefix) {
			continue
		}
		name := strings.ToUpper(strings.ReplaceAll(strings.TrimLeft(ref[len(s.prefix):], "-"), "-", "_"))
		if !isVariable(name) {
			return fmt.Errorf("of the secret %s no variable can be made: name it by --secret", ref)
		}
		if steers(name) {
			return fmt.Errorf("the secret %s would be the variable %s, which steers programs: if that is meant, name it by --secret", ref, name)
		}
		if !all[i].Attributes.Enabled {
			warn("The secret %s is disabled, and left out.", ref)
			continue
		}
		if err := fetch(name, ref); err != nil {
			return err
		}
	}
	return nil
}

func (s *selection) readFile(file string, fetch, set func(name, text string) error) error {
	text, err := readFile(file)
	if err != nil {
		return err
	}
	lines, err := parseDotenv(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, v := range lines {
		ref, ok := strings.CutPrefix(v.value, vaultPrefix)
		if !ok {
			if err := set(v.name, v.value); err != nil {
				return err
			}
			continue
		}
		if err := fetch(v.name, ref); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}
