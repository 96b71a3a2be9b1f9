package password

// Occupy takes a place until release.
func (h *Hasher) Occupy() (release func()) {
	h.slots <- struct{}{}
	return func() { <-h.slots }
}

// Reencode reads a hash and writes it again.
func Reencode(text string) (string, error) {
	p, salt, key, err := decode(text)
	if err != nil {
		return "", err
	}
	return encode(p, salt, key), nil
}
