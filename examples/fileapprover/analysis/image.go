package analysis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// maxDecodedBytes bounds the memory a picture may need by what its header says, before anything is decoded.
const maxDecodedBytes = 400 << 20

// imageReader decodes one format.
type imageReader struct {
	format string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

// imageReaders are the formats that are decoded, by media type. Of an animation the first frame is decoded.
var imageReaders = map[string]*imageReader{
	"image/png":  {"Png", png.DecodeConfig, png.Decode},
	"image/jpeg": {"Jpeg", jpeg.DecodeConfig, jpeg.Decode},
	"image/gif":  {"Gif", gif.DecodeConfig, gif.Decode},
	"image/bmp":  {"Bmp", bmp.DecodeConfig, bmp.Decode},
	"image/tiff": {"Tiff", tiff.DecodeConfig, tiff.Decode},
	"image/webp": {"Webp", webp.DecodeConfig, webp.Decode},
}

// inspectImage finds size, EXIF fields, colours and text of a picture. Width and height are those of the stored
// pixels; the thumbnail is turned as the EXIF orientation says.
func inspectImage(ctx context.Context, src source, media string, f *findings, o childOptions) {
	reader := imageReaders[media]
	f.add(SourceImage, "Format", reader.format)
	var config image.Config
	err := errors.New("its header is damaged")
	f.guard(SourceImage, "the header of the picture", func() { config, err = reader.config(buffered(src)) })
	if err != nil {
		f.explain(SourceImage, "the picture could not be decoded: %v", err)
		return
	}
	f.addInt(SourceImage, "Width", int64(config.Width))
	f.addInt(SourceImage, "Height", int64(config.Height))
	if media == "image/gif" {
		frames, err := countGIFFrames(buffered(src))
		f.addInt(SourceImage, "FrameCount", frames)
		if err != nil {
			f.explain(SourceImage, "the frames after number %d could not be read: %v", frames, err)
		}
	}
	orientation := 1
	f.guard(SourceEXIF, "the EXIF fields", func() { orientation = inspectEXIF(src, media, f) })

	img, err := decodeImage(src, media, reader, config, f)
	if err != nil {
		f.explain(SourceImage, "the picture could not be decoded: %v", err)
		return
	}
	if img == nil { // explained by guard
		return
	}
	inspectColors(img, f)
	thumb, err := makeThumbnail(img, orientation)
	if err != nil {
		f.explain(SourceImage, "no thumbnail could be made: %v", err)
	} else {
		_ = f.send(frame{Thumbnail: thumb})
	}
	inspectOCR(ctx, img, f, o)
}

func decodeImage(src source, media string, r *imageReader, c image.Config, f *findings) (img image.Image, err error) {
	if c.Width <= 0 || c.Height <= 0 {
		return nil, errors.New("it has no pixels")
	}
	perPixel := bytesPerPixel(c.ColorModel)
	if media == "image/jpeg" && progressiveJPEG(buffered(src)) {
		perPixel += 12 // the coefficients of three components are kept until the last scan
	}
	if int64(c.Width) > maxDecodedBytes/int64(c.Height)/perPixel {
		return nil, fmt.Errorf("%d by %d pixels are more than this analysis decodes", c.Width, c.Height)
	}
	f.guard(SourceImage, "the picture", func() { img, err = r.decode(buffered(src)) })
	if err == nil && img != nil && img.Bounds().Empty() {
		return nil, errors.New("it has no pixels")
	}
	return img, err
}

// bytesPerPixel is what the decoders of imageReaders allocate for a pixel.
func bytesPerPixel(m color.Model) int64 {
	switch m {
	case color.GrayModel, color.AlphaModel:
		return 1
	case color.Gray16Model, color.Alpha16Model:
		return 2
	case color.YCbCrModel:
		return 3
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	return 4
}

func buffered(src source) *bufio.Reader {
	return bufio.NewReaderSize(section(src), 64<<10)
}
