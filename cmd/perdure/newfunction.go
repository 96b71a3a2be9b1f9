package main

import (
	"context"
	"errors"
	"fmt"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func (p *program) newFunctionCommand() *cobra.Command {
	var trigger string
	cmd := &cobra.Command{
		Use: "function --trigger " + strings.Join(triggers(), "|") + " NAME", Short: "Add a function and its test to the app in this folder",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("want one name, such as sendInvoice")
			case !token.IsIdentifier(args[0]) || args[0] == "_" || args[0] == "init" || args[0] == "main":
				return fmt.Errorf("%q cannot be the name of a Go function", args[0])
			case !slices.Contains(triggers(), trigger):
				return fmt.Errorf("--trigger: want one of %s", strings.Join(triggers(), ", "))
			}
			return nil
		},
		RunE: runs(func(_ context.Context, args []string) error { return p.newFunction(args[0], trigger) }),
	}
	cmd.Flags().StringVar(&trigger, "trigger", "", "what runs it: "+strings.Join(triggers(), ", "))
	return cmd
}

// triggers are the kinds of functions there are templates for.
func triggers() []string {
	entries, err := templates.ReadDir("templates/function")
	if err != nil {
		panic(err) // they are part of the program
	}
	var all []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".go.tmpl"); ok && !strings.HasSuffix(name, "_test") {
			all = append(all, name)
		}
	}
	return all
}

// newFunction adds a function to the package in the working directory.
func (p *program) newFunction(name, trigger string) error {
	pkg, err := readPackage(".")
	if err != nil {
		return err
	}
	lower, upper := firstRune(name, unicode.ToLower), firstRune(name, unicode.ToUpper)
	values := map[string]string{
		"Package": pkg.name, "Func": name, "Lower": lower, "Upper": upper, "Path": kebab(name),
	}
	part, err := render(path.Join("function", trigger+".part"), values)
	if err != nil {
		return err
	}
	part = strings.TrimSpace(part)
	values["Part"] = part
	file := strings.ReplaceAll(kebab(name), "-", "_")
	if last := file[strings.LastIndexByte(file, '_')+1:]; last != file && slices.Contains(fileEndings, last) {
		return fmt.Errorf("%q would be in %s.go, which Go builds in some places only: choose a name that does not end so", name, file)
	}
	var codes []string
	suffixes := []string{".go", "_test.go"}
	for _, suffix := range suffixes {
		code, err := render(path.Join("function", trigger+suffix), values)
		if err != nil {
			return err
		}
		if err := pkg.clash(file+suffix, code); err != nil {
			return err
		}
		codes = append(codes, code)
	}
	for i, suffix := range suffixes {
		if err := writeNew(file+suffix, codes[i]); err != nil {
			return err
		}
	}
	added, err := pkg.addPart(part)
	if err != nil {
		return err
	}
	p.say("The function is in %s.go, its test in %s_test.go.", file, file)
	if added != "" {
		p.say("It was added to the app in %s.", added)
	} else {
		p.say("Add it to the app:")
		p.say("  app.Add(%s)", part)
	}
	return nil
}

// fileEndings are the last words of file names, after a "_", by which Go leaves a file out
// of some builds: tests, operating systems and architectures (go help buildconstraint).
var fileEndings = strings.Fields(`test
	aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos
	386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle
	ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm`)

// writeNew writes a file that is not there yet.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func firstRune(s string, change func(rune) rune) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(change(r)) + s[size:]
}

// kebab writes sendInvoice as send-invoice.
func kebab(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || next) {
			b.WriteByte('-')
		}
		if r == '_' {
			r = '-'
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Trim(b.String(), "-")
}
