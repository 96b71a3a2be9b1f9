//go:build !linux && !darwin

package poison

// attach reads the file and writes each change to it. That is a system call for
// each, but like the mapping it outlives the process and not the machine.
func (j *Journal) attach(path string) error { return j.attachFile(path) }
