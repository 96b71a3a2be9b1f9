package storetest_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/perdure/perdure/internal/store/storetest"
)

// TestContractPageNamesEveryCase keeps docs/store-contract.md and the suite in
// step: each rule names its case in the last column of a table, and each case
// has a rule.
func TestContractPageNamesEveryCase(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/store-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	cases := storetest.Cases()
	var named []string
	for _, m := range regexp.MustCompile("(?m)^\\|.*\\| `([a-z-]+/[a-z-]+)` \\|$").FindAllSubmatch(page, -1) {
		named = append(named, string(m[1]))
	}
	for _, name := range named {
		if !slices.Contains(cases, name) {
			t.Errorf("the page names case %q, which does not exist", name)
		}
	}
	for i, name := range cases {
		if !slices.Contains(named, name) {
			t.Errorf("case %q has no rule in the page", name)
		}
		if slices.Contains(cases[:i], name) {
			t.Errorf("two cases are called %q", name)
		}
	}
}
