package objstore_test

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

func TestABrokenConnectionIsNotTheEndOfAnObject(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, &url.Error{Op: "Get", URL: "http://s3", Err: io.EOF}} {
		err := objstore.Trouble(objstore.ErrDown, cause)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, objstore.ErrDown) || !strings.Contains(errors.Unwrap(err).Error(), cause.Error()) {
			t.Errorf("%v: want ErrDown, and no end of file in it", err)
		}
	}
}
