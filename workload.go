package perdure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/pgidentity/authority"
)

// listenWorkloads returns the URL at which programs of this machine ask for tokens of managed identities: on the
// app's own port if only this machine can reach it, otherwise on one that is opened for them. It is empty for an app whose folder
// the command cannot find it by.
func (r *running) listenWorkloads() (string, error) {
	if r.temporary != "" || r.lent != nil {
		return "", nil
	}
	l := r.listener
	if l == nil || r.config.exposed() {
		own, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("perdure: listen for managed identities: %w", err)
		}
		l = own
		r.services = append(r.services, &workloadServer{r: r, listener: own})
	}
	return "http://" + l.Addr().String() + identity.TokenPath, nil
}

// workloadServer serves the endpoint of managed identities on a port of its own.
type workloadServer struct {
	r        *running
	listener net.Listener
	server   *http.Server
}

// Start implements service.
func (s *workloadServer) Start(context.Context) error {
	tokens, certificates, host := s.r.provider.WorkloadTokens(), s.r.databases.Certificates(), s.listener.Addr().String()
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Host != host: // a name that a web page has let lead here
			problem.New(http.StatusMisdirectedRequest, "this server does not answer to the host of the request").Write(w)
		case req.URL.Path == identity.TokenPath:
			tokens.ServeHTTP(w, req)
		case req.URL.Path == authority.PathCertificate:
			certificates.ServeHTTP(w, req)
		default:
			problem.New(http.StatusNotFound, "nothing is here").Write(w)
		}
	})
	s.server = &http.Server{
		Handler: httpapi.Pace(handler), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.r.config.Logger.Handler(), slog.LevelDebug),
	}
	s.r.background.Go(func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.r.fail(fmt.Errorf("serve %s: %w", s.listener.Addr(), err))
		}
	})
	return nil
}

// Stop implements service.
func (s *workloadServer) Stop(ctx context.Context) error {
	if s.server == nil {
		return s.listener.Close()
	}
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("perdure: requests of workloads still ran: %w", err), s.server.Close())
	}
	return nil
}

// Idle implements service.
func (s *workloadServer) Idle(context.Context) error { return nil }
