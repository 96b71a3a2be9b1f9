package admin

import (
	"net"
	"strconv"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// The states of a target.
const (
	Healthy         = "HEALTHY"
	Unhealthy       = "UNHEALTHY"
	HealthchecksOff = "HEALTHCHECKS_OFF"
	DNSError        = "DNS_ERROR"
)

// Health is how a target is.
type Health struct {
	Target string // as the entity has it
	State  string // Healthy, Unhealthy, HealthchecksOff, DNSError
	// Reason says why, "" if there is nothing to say. Since is when it began; zero is unknown.
	Reason string
	Since  time.Time
}

// targetHealth is a target as Kong shows it among the health of an upstream.
type targetHealth struct {
	ID        string                      `json:"id"`
	CreatedAt int64                       `json:"created_at"`
	UpdatedAt int64                       `json:"updated_at"`
	Tags      []string                    `json:"tags"`
	Target    string                      `json:"target"`
	Weight    int                         `json:"weight"`
	Upstream  entity.Ref[entity.Upstream] `json:"upstream"`
	Health    string                      `json:"health"`
	Data      healthData                  `json:"data"`
}

// healthData is more about a target. Reason and Since are not in Kong.
type healthData struct {
	Host       string          `json:"host"`
	Port       int             `json:"port"`
	NodeWeight int             `json:"nodeWeight"`
	Weight     healthWeight    `json:"weight"`
	Addresses  []healthAddress `json:"addresses"`
	Reason     string          `json:"reason,omitempty"`
	Since      int64           `json:"since,omitempty"` // Unix time in seconds
}

type healthWeight struct {
	Total       int `json:"total"`
	Available   int `json:"available"`
	Unavailable int `json:"unavailable"`
}

type healthAddress struct {
	IP     string `json:"ip"`
	Port   int    `json:"port"`
	Health string `json:"health"`
	Weight int    `json:"weight"`
}

// health answers how an upstream is: each target, or with balancer_health=1 the whole.
func (q *request) health(key string) answer {
	u, is := q.find(collectionAt("upstreams"), key).(*entity.Upstream)
	if !is {
		return notFound()
	}
	states := map[string]Health{}
	if q.o.Health != nil {
		for _, h := range q.o.Health(u) {
			states[h.Target] = h
		}
	}
	if q.query.Get("balancer_health") == "1" {
		return ok(map[string]any{"node_id": q.o.NodeID, "next": nil, "data": map[string]any{"id": u.ID, "health": balancerHealth(u, states)}})
	}
	list := q.index.of(collectionAt("targets"), &collectionAt("targets").refs[0], u)
	p, refusal := paginate(q, list, "/upstreams/"+u.ID+"/health", func(e entity.Entity) string { return entity.MetaOf(e).ID }, func(e entity.Entity) any {
		t := e.(*entity.Target)
		return healthOf(t, states[t.Target])
	})
	if refusal.status != 0 {
		return refusal
	}
	return ok(struct {
		page
		Total  int    `json:"total"`
		NodeID string `json:"node_id"`
	}{p, len(list), q.o.NodeID})
}

func healthOf(t *entity.Target, h Health) targetHealth {
	state := h.State
	if state == "" {
		state = HealthchecksOff
	}
	shown := targetHealth{
		ID: t.ID, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, Tags: t.Tags, Target: t.Target, Weight: t.Weight, Upstream: t.Upstream, Health: state,
		Data: healthData{NodeWeight: t.Weight, Reason: h.Reason, Addresses: []healthAddress{}},
	}
	if !h.Since.IsZero() {
		shown.Data.Since = h.Since.Unix()
	}
	host, port, err := net.SplitHostPort(t.Target)
	if err == nil {
		shown.Data.Host = host
		shown.Data.Port, _ = strconv.Atoi(port)
	}
	if state == DNSError {
		return shown
	}
	shown.Data.Weight.Total = t.Weight
	if state == Unhealthy {
		shown.Data.Weight.Unavailable = t.Weight
	} else {
		shown.Data.Weight.Available = t.Weight
	}
	if net.ParseIP(host) != nil {
		shown.Data.Addresses = append(shown.Data.Addresses, healthAddress{host, shown.Data.Port, state, t.Weight})
	}
	return shown
}

// balancerHealth is that of an upstream: whether enough of its weight is available.
func balancerHealth(u *entity.Upstream, states map[string]Health) string {
	var total, available int
	off := true
	for _, t := range u.Targets {
		h := healthOf(t, states[t.Target])
		off = off && h.Health == HealthchecksOff
		total += h.Data.Weight.Total
		available += h.Data.Weight.Available
	}
	switch {
	case off && total > 0:
		return HealthchecksOff
	case available == 0 || float64(available)*100 < u.Healthchecks.Threshold*float64(total):
		return Unhealthy
	}
	return Healthy
}
