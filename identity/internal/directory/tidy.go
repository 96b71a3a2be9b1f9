package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tidy makes what an issuer upstream says of a user fit to be kept: texts are cut and lose what is
// not seen, and an address, a number or a picture that would be refused is left out. So nobody is
// kept from signing in by an odd profile.
func (u *User) Tidy() {
	for _, s := range []*string{&u.Name, &u.GivenName, &u.FamilyName, &u.Nickname} {
		*s = tidyText(*s, MaxText)
	}
	if u.Email != "" && CheckEmail("email", u.Email) != nil {
		u.Email, u.EmailVerified = "", false
	}
	if u.Username != "" && checkUsername("username", u.Username) != nil {
		u.Username = ""
	}
	if u.PhoneNumber != "" && !phoneNumber.MatchString(u.PhoneNumber) {
		u.PhoneNumber, u.PhoneVerified = "", false
	}
	if u.Picture != "" && checkWebURL("picture", u.Picture) != nil {
		u.Picture = ""
	}
	for i := range u.Identities {
		if checkMetadata("profileData", u.Identities[i].Profile) != nil {
			u.Identities[i].Profile = nil
		}
	}
}

// tidyText returns at most most characters of s, without those that are not seen.
func tidyText(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case isInvisible(r), r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	runes := []rune(strings.TrimSpace(s))
	if len(runes) > most {
		runes = runes[:most]
	}
	return strings.TrimSpace(string(runes))
}
