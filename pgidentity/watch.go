package pgidentity

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// watch notes when a connection ends before it is logged in. The server says that a certificate was revoked only after the
// client takes TLS for done, and pgx tells nobody but its caller.
func (k *keeper) watch(config *pgx.ConnConfig, c *Certificate) {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: conn, failed: sync.OnceFunc(func() { k.failed(c) })}, nil
	}
	after := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if secured, ok := conn.Conn().(*tls.Conn); ok {
			if w, ok := secured.NetConn().(*watched); ok {
				w.loggedIn.Store(true)
			}
		}
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

// watched is a connection that is being logged in.
type watched struct {
	net.Conn
	loggedIn atomic.Bool
	failed   func()
}

// Close implements net.Conn.
func (w *watched) Close() error {
	if !w.loggedIn.Load() {
		w.failed()
	}
	return w.Conn.Close()
}
