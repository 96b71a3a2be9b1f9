package router

import (
	"slices"
	"strings"
)

// tree finds the candidates of one host by what their paths begin with.
type tree struct {
	root node
}

// node is a text that paths begin with: the labels from the root to it.
type node struct {
	label    string
	first    string // the first characters of the children's labels
	children []*node
	places   []place // by rank
	best     int     // the lowest rank here and below
}

// place is a candidate, for requests to a port; 0 is any.
type place struct {
	c    *candidate
	port uint16
}

// insert enters a candidate by the text its path begins with.
func (t *tree) insert(text string, p place) {
	n := &t.root
	for text != "" {
		i := strings.IndexByte(n.first, text[0])
		if i < 0 {
			leaf := &node{label: text}
			n.first += text[:1]
			n.children = append(n.children, leaf)
			n = leaf
			break
		}
		child := n.children[i]
		k := common(child.label, text)
		if k < len(child.label) { // split it
			upper := &node{label: child.label[:k], first: child.label[k : k+1], children: []*node{child}}
			child.label = child.label[k:]
			n.children[i] = upper
			child = upper
		}
		n, text = child, text[k:]
	}
	n.places = append(n.places, p)
}

func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// finish orders everything, after the last insert.
func (n *node) finish() {
	slices.SortFunc(n.places, func(a, b place) int { return a.c.rank - b.c.rank })
	n.best = int(^uint(0) >> 1)
	if len(n.places) > 0 {
		n.best = n.places[0].c.rank
	}
	for _, child := range n.children {
		child.finish()
		n.best = min(n.best, child.best)
	}
}

// search returns the first candidate that matches, if it is before best.
func (t *tree) search(v *view, best *candidate) *candidate {
	n, rest := &t.root, v.path
	for {
		if best != nil && n.best >= best.rank {
			return best
		}
		for i := range n.places {
			p := &n.places[i]
			if best != nil && p.c.rank >= best.rank {
				break
			}
			if (p.port == 0 || p.port == v.Port) && p.c.matches(v, len(rest) == 0) {
				best = p.c
				break
			}
		}
		if rest == "" {
			return best
		}
		i := strings.IndexByte(n.first, rest[0])
		if i < 0 {
			return best
		}
		n = n.children[i]
		if !strings.HasPrefix(rest, n.label) {
			return best
		}
		rest = rest[len(n.label):]
	}
}
