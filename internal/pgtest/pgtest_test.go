package pgtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/perdure/perdure/internal/pgtest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t)
	c.Exec(t, "postgres", `CREATE DATABASE orders`)
	c.Exec(t, "orders", `CREATE TABLE t (x text); INSERT INTO t VALUES ('a'), ('b')`)
	if got := c.Query(t, "orders", `SELECT x FROM t WHERE x > $1 ORDER BY x`, ""); len(got) != 2 || got[1] != "b" {
		t.Errorf("%q", got)
	}
	if got := c.Query(t, "postgres", `SELECT auth_method FROM pg_hba_file_rules WHERE type = 'local' AND 'all' = ANY(database)`); len(got) != 1 || got[0] != "peer" {
		t.Errorf("the socket is for %q, want peer", got)
	}
	_, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=orders", c.Port, c.User))
	if err == nil || !strings.Contains(err.Error(), "pg_hba.conf") {
		t.Errorf("over the network: %v", err)
	}
	if !strings.Contains(c.Log(), "ready to accept connections") {
		t.Errorf("log: %s", c.Log())
	}
}
