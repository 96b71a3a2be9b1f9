package directory

import (
	"fmt"
	"strings"
)

// The bounds of a query.
const (
	MaxQuery      = 2000 // bytes
	maxQueryDepth = 20
	maxQueryTerms = 100
)

// Query is a condition on users.
type Query struct{ root clause }

// Match reports whether a user fulfils it.
func (q *Query) Match(u *User) bool { return q.root.match(u) }

// clause is a condition. If id or email are set, it holds for no user who has another one.
type clause struct {
	match     func(*User) bool
	id, email string
}

// ParseQuery reads a query in the subset of Lucene's language that Auth0 has for users:
//
//	email:"ann@example.org"            a value, in any case of letters
//	name:ann* name:*ann name:*ann*     beginning, end, part of it
//	ann                                in e-mail address, names and username
//	created_at:[2026-01-01 TO *}       a range; [ and ] include the end, { and } do not
//	app_metadata.plan:(gold OR silver) several values
//	identities.connection:"google"
//	_exists_:picture
//	NOT blocked:true AND (a:1 OR b:2)  operators, also !, && and ||
//
// A backslash takes the meaning from the character behind it.
func ParseQuery(text string) (*Query, error) {
	if len(text) > MaxQuery {
		return nil, invalid("q", "it has %d bytes, at most %d are allowed", len(text), MaxQuery)
	}
	p := &queryParser{text: text}
	root, err := p.or("", 0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.fault("%q is not expected", p.text[p.at:p.at+1])
	}
	return &Query{root}, nil
}

// queryParser reads a query from left to right.
type queryParser struct {
	text  string
	at    int
	terms int
}

func (p *queryParser) fault(format string, args ...any) error {
	return invalid("q", "at character %d: %s", p.at+1, fmt.Sprintf(format, args...))
}

func (p *queryParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// took reports whether one of the operators comes next, and goes on behind it.
func (p *queryParser) took(operators ...string) bool {
	p.space()
	for _, op := range operators {
		rest, found := strings.CutPrefix(p.text[p.at:], op)
		if !found {
			continue
		}
		// A word ends where something else begins.
		if letters := op[0] >= 'A' && op[0] <= 'Z'; letters && rest != "" && strings.IndexByte(" \t\r\n(\"", rest[0]) < 0 {
			continue
		}
		p.at += len(op)
		return true
	}
	return false
}

// or reads clauses with OR between them. In the parentheses behind a field they are values of it.
func (p *queryParser) or(field string, depth int) (clause, error) {
	if depth > maxQueryDepth {
		return clause{}, p.fault("it is nested deeper than %d", maxQueryDepth)
	}
	all := []clause{}
	for {
		one, err := p.and(field, depth)
		if err != nil {
			return clause{}, err
		}
		all = append(all, one)
		if !p.took("OR", "||") {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return clause{match: func(u *User) bool {
		for _, one := range all {
			if one.match(u) {
				return true
			}
		}
		return false
	}}, nil
}

func (p *queryParser) and(field string, depth int) (clause, error) {
	all := []clause{}
	for {
		one, err := p.not(field, depth)
		if err != nil {
			return clause{}, err
		}
		all = append(all, one)
		if !p.took("AND", "&&") {
			break
		}
	}
	if p.space(); p.at < len(p.text) && p.text[p.at] != ')' && !strings.HasPrefix(p.text[p.at:], "OR") && !strings.HasPrefix(p.text[p.at:], "||") {
		return clause{}, p.fault("AND or OR is missing before %.20q", p.text[p.at:])
	}
	if len(all) == 1 {
		return all[0], nil
	}
	both := clause{match: func(u *User) bool {
		for _, one := range all {
			if !one.match(u) {
				return false
			}
		}
		return true
	}}
	for _, one := range all {
		if one.id != "" {
			both.id = one.id
		}
		if one.email != "" {
			both.email = one.email
		}
	}
	return both, nil
}

func (p *queryParser) not(field string, depth int) (clause, error) {
	if !p.took("NOT", "!") {
		return p.primary(field, depth)
	}
	if depth > maxQueryDepth {
		return clause{}, p.fault("it is nested deeper than %d", maxQueryDepth)
	}
	one, err := p.not(field, depth+1)
	if err != nil {
		return clause{}, err
	}
	return clause{match: func(u *User) bool { return !one.match(u) }}, nil
}

// primary reads parentheses, or a field with its value, or a value alone.
func (p *queryParser) primary(field string, depth int) (clause, error) {
	if p.terms++; p.terms > maxQueryTerms {
		return clause{}, p.fault("it has more than %d conditions", maxQueryTerms)
	}
	if p.took("(") {
		inner, err := p.or(field, depth+1)
		if err != nil {
			return clause{}, err
		}
		if !p.took(")") {
			return clause{}, p.fault(`")" is missing`)
		}
		return inner, nil
	}
	if field == "" {
		start := p.at
		if name := p.fieldName(); name != "" {
			return p.condition(name, depth)
		}
		p.at = start
	}
	v, err := p.value()
	if err != nil {
		return clause{}, err
	}
	return v.on(field)
}

// fieldName reads a field with its colon; "" if there is none.
func (p *queryParser) fieldName() string {
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ':':
			p.at++
			return p.text[start : p.at-1]
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
			p.at++
		default:
			return ""
		}
	}
	return ""
}

// condition reads what comes behind a field.
func (p *queryParser) condition(field string, depth int) (clause, error) {
	if field == "_exists_" {
		v, err := p.value()
		if err != nil {
			return clause{}, err
		}
		if v.kind != valueWord {
			return clause{}, p.fault("_exists_ needs the name of a field")
		}
		if err := knownField(v.text); err != nil {
			return clause{}, err
		}
		return queryValue{kind: valueAny}.on(v.text)
	}
	if err := knownField(field); err != nil {
		return clause{}, err
	}
	if p.took("(") {
		inner, err := p.or(field, depth+1)
		if err != nil {
			return clause{}, err
		}
		if !p.took(")") {
			return clause{}, p.fault(`")" is missing`)
		}
		return inner, nil
	}
	v, err := p.value()
	if err != nil {
		return clause{}, err
	}
	return v.on(field)
}

// value reads a word, a text in quotes or a range.
func (p *queryParser) value() (queryValue, error) {
	if p.space(); p.at == len(p.text) {
		return queryValue{}, p.fault("a value is missing")
	}
	switch p.text[p.at] {
	case '"':
		text, err := p.quoted()
		return queryValue{kind: valueWord, text: text}, err
	case '[', '{':
		return p.rangeValue()
	}
	return p.word()
}

func (p *queryParser) quoted() (string, error) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case '"':
			p.at++
			return b.String(), nil
		case '\\':
			if p.at++; p.at == len(p.text) {
				return "", p.fault("the text in quotes does not end")
			}
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fault("the text in quotes does not end")
}

// word reads a value without quotes, with asterisks at its ends.
func (p *queryParser) word() (queryValue, error) {
	v := queryValue{kind: valueWord}
	var b strings.Builder
	start := p.at
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if strings.IndexByte(" \t\r\n()[]{}\"", c) >= 0 {
			break
		}
		switch {
		case c == '*' && p.at == start:
			v.anyStart = true
		case c == '*' && (p.at+1 == len(p.text) || strings.IndexByte(" \t\r\n()[]{}\"", p.text[p.at+1]) >= 0):
			v.anyEnd = true
		case c == '*' || c == '?':
			return v, p.fault("%q is allowed at the beginning and at the end of a value alone", string(c))
		case c == '\\':
			if p.at++; p.at == len(p.text) {
				return v, p.fault("a character is missing behind the backslash")
			}
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	v.text = b.String()
	switch {
	case p.at == start:
		return v, p.fault("a value is missing before %.20q", p.text[p.at:])
	case v.text == "" && (v.anyStart || v.anyEnd):
		return queryValue{kind: valueAny}, nil
	}
	return v, nil
}

// rangeValue reads [a TO b], with { or } where the end is not included.
func (p *queryParser) rangeValue() (queryValue, error) {
	v := queryValue{kind: valueRange, withFrom: p.text[p.at] == '['}
	p.at++
	bound := func() (string, error) {
		if p.space(); p.at < len(p.text) && p.text[p.at] == '"' {
			return p.quoted()
		}
		start := p.at
		for p.at < len(p.text) && strings.IndexByte(" \t\r\n]}", p.text[p.at]) < 0 {
			p.at++
		}
		if p.at == start {
			return "", p.fault("an end of the range is missing")
		}
		if s := p.text[start:p.at]; s != "*" {
			return s, nil
		}
		return "", nil
	}
	var err error
	if v.from, err = bound(); err != nil {
		return v, err
	}
	if !p.took("TO") {
		return v, p.fault("TO is missing in the range: [a TO b]")
	}
	if v.to, err = bound(); err != nil {
		return v, err
	}
	switch {
	case p.took("]"):
		v.withTo = true
	case p.took("}"):
	default:
		return v, p.fault("the range does not end: [a TO b]")
	}
	return v, nil
}
