package perdure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/keystore"
)

// tlsServer serves a part of the app on a port of its own.
type tlsServer struct {
	r        *running
	what     string // for messages
	listener net.Listener
	config   *tls.Config
	handler  http.Handler
	server   *http.Server
}

// listenTLS opens an address for a part of the app. Field is that of Config.
func (r *running) listenTLS(what, field, address string) (*tlsServer, error) {
	l, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("perdure: listen on %s (%s): %w", address, field, err)
	}
	return &tlsServer{r: r, what: what, listener: l}, nil
}

// secure gives the server a certificate: that of two files, or one of the local authority for names. Field is that of Config which the
// files are in.
func (s *tlsServer) secure(field, certFile, keyFile string, names ...string) error {
	s.config = &tls.Config{MinVersion: tls.VersionTLS12}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("%w: %s.CertFile, %s.KeyFile: %w", ErrConfig, field, field, err)
		}
		s.config.Certificates = []tls.Certificate{pair}
	} else {
		ca, err := keystore.OpenCA(s.r.keys)
		if err == nil {
			s.config, err = ca.TLSConfig(names...)
		}
		if err != nil {
			return fmt.Errorf("perdure: local certificates: %w", err)
		}
		s.r.caFile = filepath.Join(s.r.config.Data, keystore.AuthorityCertificate)
	}
	s.config.NextProtos = []string{"h2", "http/1.1"}
	return nil
}

// port is the one that it listens on.
func (s *tlsServer) port() string {
	_, port, _ := net.SplitHostPort(s.listener.Addr().String()) // it has one
	return port
}

// Start implements service.
func (s *tlsServer) Start(context.Context) error {
	s.server = &http.Server{
		Handler: httpapi.Pace(s.handler), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.r.config.Logger.Handler(), slog.LevelDebug), TLSConfig: s.config,
	}
	for _, l := range each(s.listener) {
		s.r.background.Go(func() {
			if err := s.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
				s.r.fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
			}
		})
	}
	return nil
}

// Stop implements service.
func (s *tlsServer) Stop(ctx context.Context) error {
	if s.server == nil {
		return s.listener.Close()
	}
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("perdure: requests to the %s still ran: %w", s.what, err), s.server.Close())
	}
	return nil
}

// Idle implements service.
func (s *tlsServer) Idle(context.Context) error { return nil }
