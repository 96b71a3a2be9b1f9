package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) secretsEnv(vault *string) *cobra.Command {
	var (
		s      selection
		format string
		show   bool
	)
	cmd := &cobra.Command{
		Use: "env", Short: "Print secrets as variables, for pipelines", Args: exactly(0),
		Long: `Print secrets as variables, for pipelines:

  lines    NAME=VALUE; a value with several lines is refused
  dotenv   NAME="VALUE", as .env files and shells have it
  json     one object
  github   for the file that GITHUB_ENV names; in a job of GitHub its runner is told
           to hide the values in its log

"perdure secrets exec" leaves nothing behind, and is better where it can be used. A terminal
gets values only with --show.`,
		Example: `  perdure secrets env --env-file build.env --format github >> "$GITHUB_ENV"`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			if p.json {
				format = "json"
			}
			write, ok := environmentFormats[format]
			if !ok {
				return &usageError{fmt.Errorf("--format %q: want lines, dotenv, json or github", format)}
			}
			if onTerminal(p.out) && !show {
				return &usageError{errors.New("standard output is a terminal: send it to a program or a file, or have it shown by --show")}
			}
			from, err := p.source(&s, *vault)
			if err != nil {
				return err
			}
			all, err := s.read(ctx, from, p.hint)
			if err != nil {
				return err
			}
			text, err := write(all)
			if err != nil {
				return err
			}
			if format == "github" && os.Getenv("GITHUB_ACTIONS") == "true" {
				fmt.Fprint(p.err, masks(all)) // the runner reads both streams
			}
			_, err = fmt.Fprint(p.out, text)
			return err
		}),
	}
	secretFlags(cmd, &s)
	cmd.Flags().StringVar(&format, "format", "lines", "lines, dotenv, json or github")
	cmd.Flags().BoolVar(&show, "show", false, "print to a terminal as well")
	return cmd
}

// environmentFormats write variables.
var environmentFormats = map[string]func([]variable) (string, error){
	"lines": func(all []variable) (string, error) {
		var b strings.Builder
		for _, v := range all {
			if strings.ContainsAny(v.value, "\r\n") {
				return "", fmt.Errorf("%s has several lines: take another --format", v.name)
			}
			b.WriteString(v.name + "=" + v.value + "\n")
		}
		return b.String(), nil
	},
	"dotenv": func(all []variable) (string, error) {
		var b strings.Builder
		for _, v := range all {
			b.WriteString(v.name + "=" + dotenvValue(v.value) + "\n")
		}
		return b.String(), nil
	},
	"json": func(all []variable) (string, error) {
		object := map[string]string{}
		for _, v := range all {
			object[v.name] = v.value
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err := e.Encode(object)
		return b.String(), err
	},
	"github": func(all []variable) (string, error) {
		var b strings.Builder
		for _, v := range all {
			end := "end-" + rand.Text() // nobody can have put it into the value
			b.WriteString(v.name + "<<" + end + "\n" + v.value + "\n" + end + "\n")
		}
		return b.String(), nil
	},
}

// masks are the commands by which GitHub's runner hides values in its log, each line by itself.
func masks(all []variable) string {
	var b strings.Builder
	for _, v := range all {
		for line := range strings.FieldsFuncSeq(v.value, func(r rune) bool { return r == '\n' || r == '\r' }) {
			b.WriteString("::add-mask::" + strings.ReplaceAll(line, "%", "%25") + "\n")
		}
	}
	return b.String()
}
