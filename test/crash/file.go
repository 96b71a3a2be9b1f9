package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// The states of a file, as the program names them.
const (
	awaitingUpload   = "AwaitingUploadApproval"
	analyzing        = "Analyzing"
	awaitingDownload = "AwaitingDownloadApproval"
	available        = "Available"
	rejected         = "Rejected"
	expired          = "Expired"
)

// rank orders the states by time. States that end a life have the same.
var rank = map[string]int{awaitingUpload: 1, analyzing: 2, awaitingDownload: 3, available: 4, rejected: 4, expired: 4}

const ended = 4

// row is what the program says about a file.
type row struct {
	FileID           string    `json:"fileId"`
	Name             string    `json:"name"`
	Size             int64     `json:"size"`
	State            string    `json:"state"`
	Cause            string    `json:"cause"`
	UploadDecision   *verdict  `json:"uploadDecision"`
	DownloadDecision *verdict  `json:"downloadDecision"`
	UploadedAt       time.Time `json:"uploadedAt"`
	AnalyzedAt       time.Time `json:"analyzedAt"`
	Metadata         []entry   `json:"metadata"`
}

type verdict struct {
	Approved bool   `json:"approved"`
	Comment  string `json:"comment"`
}

type entry struct{ Name, Value, Source string }

func (r *row) decision(s stage) *verdict {
	if s == forUpload {
		return r.UploadDecision
	}
	return r.DownloadDecision
}

// stage is which of the two decisions.
type stage int

const (
	forUpload stage = iota
	forDownload
)

var stageNames = [...]string{"upload", "download"}

func (s stage) String() string { return stageNames[s] }

// file is a file as its clients know it: what they sent, and what they were told.
type file struct {
	mu sync.Mutex // of whoever works with it

	name  string
	kind  string
	size  int
	seed  uint64
	sum   string // SHA-256 of its bytes
	key   string // of idempotence; empty without
	id    string // empty while unknown
	acked bool   // the upload was
	left  bool   // alone: nobody decides about it, so that it expires if the wait is short

	tried [2][]attempt // by stage
	seen  *row         // the latest the program said
	full  *row         // the latest with the metadata
}

// attempt is a decision that was sent.
type attempt struct {
	verdict
	answered bool // with 202
}

// bytes makes the content, the same each time.
func (f *file) bytes() []byte {
	rng := rand.New(rand.NewPCG(f.seed, 1))
	switch f.kind {
	case "png":
		img := image.NewNRGBA(image.Rect(0, 0, 8+int(f.seed%24), 8))
		for i := range img.Pix {
			img.Pix[i] = byte(rng.Uint32())
		}
		img.Set(0, 0, color.NRGBA{byte(f.seed), byte(f.seed >> 8), byte(f.seed >> 16), 255})
		var b bytes.Buffer
		_ = png.Encode(&b, img) // into memory, of a valid picture
		return b.Bytes()
	case "text":
		b := make([]byte, 0, f.size+20)
		for len(b) < f.size {
			b = append(strconv.AppendUint(b, rng.Uint64N(1e6), 10), " words\n"...)
		}
		return b[:f.size]
	}
	b := make([]byte, f.size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// newFile invents a file.
func newFile(rng *rand.Rand, number int) *file {
	f := &file{name: fmt.Sprintf("file-%05d", number), seed: rng.Uint64()}
	switch n := rng.IntN(100); {
	case n < 3:
		f.kind = "empty"
	case n < 60:
		f.kind, f.size = "text", 1+rng.IntN(4<<10)
	case n < 85:
		f.kind, f.size = "bytes", 1+rng.IntN(256<<10)
	case n < 95:
		f.kind = "png"
	default:
		f.kind, f.size = "bytes", 1+rng.IntN(4<<20)
	}
	if rng.IntN(2) == 0 {
		f.key = fmt.Sprintf("key-%s-%d", f.name, f.seed)
	}
	f.left = rng.IntN(6) == 0
	content := f.bytes()
	f.size = len(content)
	sum := sha256.Sum256(content)
	f.sum = hex.EncodeToString(sum[:])
	return f
}

// hasEnded reports whether nothing more happens to the file.
func (f *file) hasEnded() bool { return f.seen != nil && rank[f.seen.State] == ended }

// observe takes note of what the program says about the file, and fails when that
// cannot be true. Full rows have the metadata.
func (f *file) observe(r *row, full bool) error {
	err := f.judge(r, full)
	if err != nil {
		now, _ := json.Marshal(r)
		before, _ := json.Marshal(f.seen)
		return fmt.Errorf("%s (%s): %w\nbefore: %s\nnow:    %s\nsent:   %+v", f.name, f.id, err, before, now, f.tried)
	}
	f.id, f.seen = r.FileID, r
	if full {
		f.full = r
	}
	return nil
}

func (f *file) judge(r *row, full bool) error {
	switch {
	case f.id != "" && r.FileID != f.id:
		return fmt.Errorf("it has two ids, %s and %s", f.id, r.FileID)
	case r.Size != int64(f.size) || r.Name != f.name:
		return errors.New("another file's name or size")
	case rank[r.State] == 0:
		return fmt.Errorf("state %q: %s", r.State, r.Cause)
	}
	for _, s := range []stage{forUpload, forDownload} {
		if err := f.judgeDecision(s, r.decision(s)); err != nil {
			return err
		}
	}
	if err := consistent(r); err != nil {
		return err
	}
	if full && !r.AnalyzedAt.IsZero() {
		if sum, size := valueOf(r.Metadata, "SHA256"), valueOf(r.Metadata, "ContentLength"); sum != f.sum || size != strconv.Itoa(f.size) {
			return fmt.Errorf("the analysis read other bytes: SHA-256 %s and length %s, uploaded were %s and %d", sum, size, f.sum, f.size)
		}
	}
	if f.seen == nil {
		return nil
	}
	return f.judgeChange(r, full)
}

// judgeChange compares what the program says now with what it said before.
func (f *file) judgeChange(r *row, full bool) error {
	before := f.seen
	switch {
	case rank[r.State] < rank[before.State], rank[before.State] == ended && r.State != before.State:
		return fmt.Errorf("it was %s and is %s", before.State, r.State)
	case !r.UploadedAt.Equal(before.UploadedAt):
		return errors.New("it was uploaded again")
	case !before.AnalyzedAt.IsZero() && !r.AnalyzedAt.Equal(before.AnalyzedAt):
		return errors.New("it was analysed again")
	}
	for _, s := range []stage{forUpload, forDownload} {
		if was := before.decision(s); was != nil && (r.decision(s) == nil || *r.decision(s) != *was) {
			return fmt.Errorf("the decision about the %s has changed", s)
		}
	}
	if full && f.full != nil && !f.full.AnalyzedAt.IsZero() {
		was, _ := json.Marshal(f.full.Metadata)
		is, _ := json.Marshal(r.Metadata)
		if !bytes.Equal(was, is) {
			return errors.New("the result of the analysis has changed")
		}
	}
	return nil
}

// judgeDecision compares the decision that is in effect with those that were sent.
func (f *file) judgeDecision(s stage, effect *verdict) error {
	sent := false
	for _, a := range f.tried[s] {
		if effect != nil && a.verdict == *effect {
			sent = true
		}
		if a.answered && effect == nil {
			return fmt.Errorf("the decision about the %s is lost", s)
		}
		if a.answered && effect.Approved != a.Approved {
			return fmt.Errorf("a decision about the %s was acknowledged and another one is in effect", s)
		}
	}
	if effect != nil && !sent {
		return fmt.Errorf("nobody has sent the decision about the %s", s)
	}
	return nil
}

// consistent checks that a state follows from the decisions.
func consistent(r *row) error {
	refused := r.UploadDecision != nil && !r.UploadDecision.Approved || r.DownloadDecision != nil && !r.DownloadDecision.Approved
	wrong := false
	switch r.State {
	case awaitingUpload:
		wrong = r.UploadDecision != nil
	case analyzing:
		wrong = r.UploadDecision == nil || refused || !r.AnalyzedAt.IsZero()
	case awaitingDownload:
		wrong = r.UploadDecision == nil || r.DownloadDecision != nil || refused || r.AnalyzedAt.IsZero()
	case available:
		wrong = r.UploadDecision == nil || r.DownloadDecision == nil || refused || r.AnalyzedAt.IsZero()
	case rejected:
		wrong = !refused
	case expired:
		wrong = refused || r.DownloadDecision != nil
	}
	if wrong {
		return fmt.Errorf("state %s does not follow from the decisions", r.State)
	}
	return nil
}

func valueOf(entries []entry, name string) string {
	for _, e := range entries {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
