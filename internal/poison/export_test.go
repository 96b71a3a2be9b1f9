package poison

// OpenWithoutMapping is Open as it works on systems without a shared mapping.
func OpenWithoutMapping(path string) (*Journal, error) {
	j := &Journal{done: func() error { return nil }}
	if err := allocate(path); err != nil {
		return nil, err
	}
	if err := j.attachFile(path); err != nil {
		return nil, err
	}
	j.recover()
	return j, nil
}

// HeaderBytes and SlotBytes are the sizes of the file's parts.
const (
	HeaderBytes = headerWords * 8
	SlotBytes   = slotWords * 8
)
