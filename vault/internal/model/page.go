package model

// Page is which part of a list is asked for.
type Page struct {
	// Max is how many at most; 0 and more than PageSize are PageSize.
	Max int
	// Cursor is the Next of the page before; empty for the first one.
	Cursor string
}

// List is a part of a list.
type List[T any] struct {
	Items []T
	// Next is the cursor of the page after; empty after the last one. A page may be empty and have one.
	Next string
}

// MapList returns a list of what of makes of another one's entries.
func MapList[A, B any](l List[A], of func(A) B) List[B] {
	out := List[B]{Items: make([]B, len(l.Items)), Next: l.Next}
	for i, a := range l.Items {
		out.Items[i] = of(a)
	}
	return out
}
