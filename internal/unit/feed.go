package unit

// HasFeed reports whether somebody listens to the changes of a table, so that the
// unit has to note them.
func (u *Unit) HasFeed(table string) bool { return u.env.Feeds[table] }
