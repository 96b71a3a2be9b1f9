package analysis

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"
)

// ThumbnailSide is the longest side of a [Thumbnail] in pixels.
const ThumbnailSide = 256

// makeThumbnail draws img small, turned as the EXIF orientation says, and encodes it anew: nothing of the file but
// its pixels gets into a thumbnail.
func makeThumbnail(img image.Image, orientation int) (*Thumbnail, error) {
	small := orient(shrink(img, ThumbnailSide), orientation)
	var data bytes.Buffer
	if small.Opaque() {
		err := jpeg.Encode(&data, small, &jpeg.Options{Quality: 85})
		return &Thumbnail{ContentType: "image/jpeg", Data: data.Bytes()}, err
	}
	err := png.Encode(&data, small)
	return &Thumbnail{ContentType: "image/png", Data: data.Bytes()}, err
}

// shrink scales img so that its longer side is at most side pixels. It never enlarges.
func shrink(img image.Image, side int) *image.NRGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if longer := max(w, h); longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	// A large picture is first thinned out: averaging all of its pixels would take seconds.
	if b.Dx() > 4*w || b.Dy() > 4*h {
		thin := image.NewNRGBA(image.Rect(0, 0, min(b.Dx(), 4*w), min(b.Dy(), 4*h)))
		draw.NearestNeighbor.Scale(thin, thin.Bounds(), img, b, draw.Src, nil)
		img, b = thin, thin.Bounds()
	}
	small := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(small, small.Bounds(), img, b, draw.Src, nil)
	return small
}

// orient turns and mirrors a picture by an EXIF orientation, 1 to 8; other values leave it.
func orient(img *image.NRGBA, orientation int) *image.NRGBA {
	if orientation < 2 || orientation > 8 {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 { // rows become columns
		out = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			out.SetNRGBA(tx, ty, img.NRGBAAt(x, y))
		}
	}
	return out
}
