package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) newCommand() *cobra.Command {
	var replace string
	cmd := &cobra.Command{
		Use: "new NAME", Short: "Make an app that builds and runs, in a folder of its own",
		Long: `Make an app that builds and runs, in a folder of its own.

NAME is the path of the new module, such as shop or example.com/shop; its last
part names the folder.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("want one name, such as shop or example.com/shop")
			}
			if !moduleName.MatchString(args[0]) {
				return fmt.Errorf("%q cannot be a module's path: want letters, digits, and . _ - inside, such as example.com/shop", args[0])
			}
			return nil
		},
		RunE: runs(func(ctx context.Context, args []string) error { return p.newApp(ctx, args[0], replace) }),
	}
	cmd.Flags().StringVar(&replace, "replace", "", "folder of a clone of Perdure that the app is built with")
	cmd.AddCommand(p.newFunctionCommand())
	return cmd
}

// moduleName is what a module may be called here: less than Go allows.
var moduleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// newApp makes the app whose module is called name.
func (p *program) newApp(ctx context.Context, name, replace string) error {
	v, published := version()
	if !published && replace == "" {
		return fmt.Errorf("this command was built from a working tree (%s), which no app can require: name the folder of that tree by --replace", v)
	}
	dir := path.Base(name)
	if err := os.Mkdir(dir, 0o777); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q is there already: choose another name, or remove it", dir)
	} else if err != nil {
		return err
	}
	files, err := renderAll("app", map[string]string{"Name": dir, "Module": name})
	if err != nil {
		return err
	}
	if replace != "" {
		err = replaced(files, name, replace)
	} else {
		files["go.mod"] = fmt.Sprintf("module %s\n\ngo 1.26.0\n\nrequire %s %s\n", name, modulePath, v)
	}
	if err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o666); err != nil {
			return err
		}
	}
	tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
	tidy.Dir = dir
	if out, err := tidy.CombinedOutput(); err != nil && replace == "" {
		return fmt.Errorf("the app is in %s, but go mod tidy failed: %w\n%s", dir, err, out)
	} else if err != nil {
		p.hint("go mod tidy failed, so %s/go.mod lists more than it needs.", dir)
	}
	p.say("The app is in %s. Start it:", dir)
	p.say("  cd %s", dir)
	p.say("  go run .")
	return nil
}

// replaced adds the files of a module that is built with the clone of Perdure in folder.
// They require what the clone requires, so that nothing needs to be fetched.
func replaced(files map[string]string, name, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return fmt.Errorf("--replace: %w", err)
	}
	own, found := strings.CutPrefix(string(mod), "module "+modulePath+"\n")
	if !found {
		return fmt.Errorf("--replace: %q is not a clone of %s", folder, modulePath)
	}
	sum, err := os.ReadFile(filepath.Join(folder, "go.sum"))
	if err != nil {
		return fmt.Errorf("--replace: %w", err)
	}
	files["go.mod"] = fmt.Sprintf("module %s\n%s\nrequire %s v0.0.0\n\nreplace %s => %q\n", name, own, modulePath, modulePath, folder)
	files["go.sum"] = string(sum)
	return nil
}
