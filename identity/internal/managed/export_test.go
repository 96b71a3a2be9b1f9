package managed

// The constants that tests count by.
const (
	MaxFailures  = maxFailures
	ForgiveEvery = forgiveEvery
	WorkloadLife = workloadLife
)

// Asked is what a request asks for.
type Asked struct{ Resource, By, Wanted string }

// ParseQuery reads a query; ok is false when it is refused.
func ParseQuery(raw string) (asked Asked, ok bool) {
	q, failed := parseQuery(raw)
	return Asked{q.resource, q.by, q.wanted}, failed == nil
}
