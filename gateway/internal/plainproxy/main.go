// Command plainproxy is the gateway's proxy without configuration, for measurements:
//
//	plainproxy ADDRESS UPSTREAM [PPROF-ADDRESS]
//
// passes all that comes to ADDRESS on to UPSTREAM, until it is interrupted.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	if len(os.Args) < 3 {
		return fmt.Errorf("usage: %s ADDRESS UPSTREAM [PPROF-ADDRESS]", os.Args[0])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := proxy.NewServer(proxy.HandlerFunc(proxy.NotFound), proxy.Options{})
	endpoint := proxy.NewEndpoint(proxy.EndpointOptions{Address: os.Args[2], Sweeper: server.Sweeper()})
	server.Swap(&proxy.Chain{Balancer: endpoint, Retries: 5})
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		return err
	}
	if len(os.Args) > 3 {
		go func() { log.Print(http.ListenAndServe(os.Args[3], nil)) }()
	}
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(late) // Serve says the rest
	}()
	if err := server.Serve(l, nil); ctx.Err() == nil {
		return err
	}
	return nil
}
