package analysis

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"slices"
	"strings"
)

const (
	colorGrid         = 256  // pixels looked at along each side, at most
	maxDominantColors = 5    // colours listed
	minDominantShare  = 0.05 // of the pixels, for a colour to be listed
	grayTolerance     = 8    // difference of channels that compression may make of a grey
)

// swatch is a group of similar colours.
type swatch struct {
	r, g, b, n     int // sums of the channels, number of pixels
	border, centre int // of these, pixels in the outer tenth and in the middle third of the picture
}

func (s *swatch) rgb() (r, g, b int) {
	return (s.r + s.n/2) / s.n, (s.g + s.n/2) / s.n, (s.b + s.n/2) / s.n
}

// hex writes the mean colour of the group as six hexadecimal digits.
func (s *swatch) hex() string {
	r, g, b := s.rgb()
	return fmt.Sprintf("%02X%02X%02X", r, g, b)
}

// vividness grows with how strong the colour is and, slower, with how much of it there is.
func (s *swatch) vividness(total int) float64 {
	r, g, b := s.rgb()
	chroma := float64(max(r, g, b)-min(r, g, b)) / 255
	share := float64(s.n) / float64(total)
	return chroma * (0.2 + min(share, 0.3))
}

// inspectColors finds the colours of a picture from pixels on a regular grid, without blending neighbours, so that a
// drawing gives exactly its own colours. Pixels that are more than half transparent do not count.
func inspectColors(img image.Image, f *findings) {
	swatches, total, gray := countColors(img)
	if total > 0 {
		background, foreground := groundColors(swatches)
		f.add(SourceImage, "DominantColorForeground", foreground.hex())
		f.add(SourceImage, "DominantColorBackground", background.hex())
		var listed []string
		for i, s := range swatches {
			if i == 0 || i < maxDominantColors && float64(s.n) >= minDominantShare*float64(total) {
				listed = append(listed, s.hex())
			}
		}
		f.add(SourceImage, "DominantColors", strings.Join(listed, ","))
		accent := slices.MaxFunc(swatches, func(a, b *swatch) int {
			return cmp.Compare(a.vividness(total), b.vividness(total))
		})
		f.add(SourceImage, "AccentColor", accent.hex())
		f.addBool(SourceImage, "IsBlackAndWhite", gray)
	}
	f.addBool(SourceImage, "HasAlpha", hasAlpha(img))
}

// countColors groups the pixels of a grid by the upper four bits of each channel, the largest group first, and says
// whether all of them are grey.
func countColors(img image.Image) (swatches []*swatch, total int, gray bool) {
	b := img.Bounds()
	nx, ny := min(b.Dx(), colorGrid), min(b.Dy(), colorGrid)
	groups := map[int]*swatch{}
	gray = true
	for j := range ny {
		for i := range nx {
			// The middle of each cell of the grid.
			x := b.Min.X + (2*i+1)*b.Dx()/(2*nx)
			y := b.Min.Y + (2*j+1)*b.Dy()/(2*ny)
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if c.A < 128 {
				continue
			}
			total++
			red, green, blue := int(c.R), int(c.G), int(c.B)
			gray = gray && max(red, green, blue)-min(red, green, blue) <= grayTolerance
			key := red>>4<<8 | green>>4<<4 | blue>>4
			s := groups[key]
			if s == nil {
				s = &swatch{}
				groups[key] = s
			}
			s.r, s.g, s.b, s.n = s.r+red, s.g+green, s.b+blue, s.n+1
			if 10*i < nx || 10*(i+1) > 9*nx || 10*j < ny || 10*(j+1) > 9*ny {
				s.border++
			} else if 3*i >= nx && 3*i < 2*nx && 3*j >= ny && 3*j < 2*ny {
				s.centre++
			}
		}
	}
	for _, s := range groups {
		swatches = append(swatches, s)
	}
	slices.SortFunc(swatches, func(a, b *swatch) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.hex(), b.hex()))
	})
	return swatches, total, gray
}

// groundColors takes as background the colour that fills most of the border, and as foreground the one that fills
// most of the middle and is another, or the next frequent one, or the background when there is no other.
func groundColors(swatches []*swatch) (background, foreground *swatch) {
	background = mostOf(swatches, func(s *swatch) int { return s.border })
	others := slices.DeleteFunc(slices.Clone(swatches), func(s *swatch) bool { return s == background })
	if len(others) == 0 {
		return background, background
	}
	return background, mostOf(others, func(s *swatch) int { return s.centre })
}

// mostOf returns the first swatch with the largest count.
func mostOf(swatches []*swatch, count func(*swatch) int) *swatch {
	return slices.MaxFunc(swatches, func(a, b *swatch) int { return cmp.Compare(count(a), count(b)) })
}

// hasAlpha reports whether pixels can be or are transparent.
func hasAlpha(img image.Image) bool {
	switch m := img.(type) {
	case *image.NRGBA, *image.NRGBA64, *image.NYCbCrA:
		return true
	case interface{ Opaque() bool }:
		return !m.Opaque()
	}
	return false
}
