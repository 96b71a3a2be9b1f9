package live

import (
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/records"
)

// place is a place in the change feed of a table: the last position of each partition
// that a subscriber knows.
type place [records.FeedPartitions]uint64

// String returns the id that messages carry: the positions in base 36.
func (p place) String() string {
	var b strings.Builder
	for i, position := range p {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(strconv.FormatUint(position, 36))
	}
	return b.String()
}

// parsePlace reads what String wrote.
func parsePlace(id string) (p place, ok bool) {
	const longest = records.FeedPartitions * len("3w5e11264sgsf-")
	if len(id) > longest {
		return p, false
	}
	parts := strings.Split(id, "-")
	if len(parts) != len(p) {
		return p, false
	}
	for i, part := range parts {
		position, err := strconv.ParseUint(part, 36, 64)
		if err != nil || strconv.FormatUint(position, 36) != part {
			return p, false
		}
		p[i] = position
	}
	return p, true
}
