package perdure

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// localhost is the name of this machine, which stands for two addresses: a browser tries
// either first.
const localhost = "localhost"

// loopback listens on both addresses of localhost.
type loopback struct {
	net.Listener              // IPv4
	v6           net.Listener // IPv6
}

// Close implements net.Listener.
func (l loopback) Close() error { return errors.Join(l.Listener.Close(), l.v6.Close()) }

// each returns the listeners that l consists of.
func each(l net.Listener) []net.Listener {
	if both, ok := l.(loopback); ok {
		return []net.Listener{both.Listener, both.v6}
	}
	return []net.Listener{l}
}

// listen opens an address; localhost on IPv4 and IPv6, under one port, as far as the
// machine has them.
func listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != localhost {
		return net.Listen("tcp", address)
	}
	const tries = 20 // of a free port, which may be taken on the other address
	for range tries {
		var l net.Listener
		if l, err = listenBoth(port); err == nil || port != "0" || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return nil, fmt.Errorf("no port is free on both addresses of %s: %w", localhost, err)
}

// listenBoth opens a port on both addresses of localhost; 0 takes one that is free on the
// first.
func listenBoth(port string) (net.Listener, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EACCES):
		return nil, err
	case err != nil: // without IPv4
		return net.Listen("tcp6", net.JoinHostPort("::1", port))
	}
	_, port, err = net.SplitHostPort(v4.Addr().String())
	if err != nil {
		return nil, errors.Join(err, v4.Close())
	}
	v6, err := net.Listen("tcp6", net.JoinHostPort("::1", port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.Join(err, v4.Close())
	case err != nil: // without IPv6
		return v4, nil
	}
	return loopback{v4, v6}, nil
}
