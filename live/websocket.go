package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// isWebSocket reports whether a request asks for the WebSocket protocol.
func isWebSocket(r *http.Request) bool {
	for _, protocols := range r.Header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(protocols, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}

// socket is a connection by the WebSocket protocol.
type socket struct {
	conn    *websocket.Conn
	ctx     context.Context // ends when the client has left
	cancel  context.CancelFunc
	timeout time.Duration
}

func (s *Server) acceptWebSocket(w http.ResponseWriter, r *http.Request) (transport, bool) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // ServeHTTP has checked the origin, by the rules of the app
	})
	if err != nil {
		return nil, false // answered
	}
	// The context of a request that was taken over does not end with its client.
	// Who sends something is disconnected: there is nothing to say.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	return &socket{conn, conn.CloseRead(ctx), cancel, s.endpoint.writeTimeout}, true
}

func (t *socket) gone() <-chan struct{} { return t.ctx.Done() }

func (t *socket) send(event, id string, changes []json.RawMessage) error {
	b := append(make([]byte, 0, 512), `{"event":"`...)
	b = append(append(b, event...), '"')
	if id != "" {
		b = strconv.AppendQuote(append(b, `,"id":`...), id)
	}
	if changes != nil {
		b = appendList(append(b, `,"changes":`...), changes)
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.timeout)
	defer cancel()
	return t.conn.Write(ctx, websocket.MessageText, append(b, '}'))
}

// beat also asks for an answer, which shows that the client is there.
func (t *socket) beat(id string) error {
	if err := t.send("heartbeat", id, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.timeout)
	defer cancel()
	return t.conn.Ping(ctx)
}

// farewell is how long a client may take to close the connection after the server did.
const farewell = time.Second

// close names the reason by a status code of RFC 6455, section 7.4, and its registry.
func (t *socket) close(why error) {
	defer t.cancel() // closes the connection
	status, reason := websocket.StatusInternalError, ""
	switch {
	case why == nil:
		return
	case errors.Is(why, errSlow):
		status, reason = websocket.StatusTryAgainLater, "slow"
	case errors.Is(why, errEnd):
		status, reason = websocket.StatusGoingAway, "end"
	}
	late := time.AfterFunc(farewell, t.cancel)
	defer late.Stop()
	_ = t.conn.Close(status, reason) // it is disconnected with and without
}
