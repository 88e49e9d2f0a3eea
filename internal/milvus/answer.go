package milvus

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
)

// Codes of Milvus 2.4 (pkg/merr/errors.go), of those that change what we do.
const (
	codeUnavailable       = 2
	codeRequestLimit      = 4
	codeRateLimit         = 8
	codeCollectionMissing = 100
	codeNotLoaded         = 101
	codeNotFullyLoaded    = 103
	codeIndexMissing      = 700
	codeNotAuthenticated  = 1400
	codeNeedAuthenticate  = 1800
)

var (
	// errNonsense is an answer that no Milvus gives.
	errNonsense = errors.New("the server's answer makes no sense")
	// errNoRows is a query's answer that has not even columns. The SDK would
	// complain of missing fields.
	errNoRows = errors.New("no rows")
)

// legacyCode is what old servers say in place of a code.
type legacyCode = commonpb.ErrorCode //nolint:staticcheck // deprecated, as they are

// serverError is an answer that says that the call failed. The SDK reads only
// the legacy code of an answer, which Milvus Lite leaves at success when it
// fails in an unforeseen way, and drops both codes from its errors.
type serverError struct {
	Code   int32
	Legacy legacyCode
	Reason string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("%s (code %d/%d)", e.Reason, e.Code, e.Legacy)
}

// is compares with a code, or with the legacy one where the server is so old,
// or a part of it, that it sends no other.
func (e *serverError) is(code int32, legacy legacyCode) bool {
	return e.Code == code || e.Code == 0 && e.Legacy == legacy
}

// down reports whether the server cannot serve anybody now. Code 1 alone is
// also what Milvus Lite calls everything unforeseen.
func (e *serverError) down() bool {
	return e.Code == codeUnavailable || e.Legacy == commonpb.ErrorCode_NotReadyServe
}

// busy reports whether a moment later the call may pass.
func (e *serverError) busy() bool {
	return e.down() || e.Code == codeRequestLimit || e.is(codeRateLimit, commonpb.ErrorCode_RateLimit)
}

// denied reports whether our name or password is wrong.
func (e *serverError) denied() bool {
	return e.Code == codeNotAuthenticated || e.Code == codeNeedAuthenticate
}

// missing reports whether err says that there is no such collection.
func missing(err error) bool {
	e, ok := errors.AsType[*serverError](err)
	return ok && e.is(codeCollectionMissing, commonpb.ErrorCode_CollectionNotExists)
}

// notLoaded reports whether err says that the collection is on the server's
// disk only.
func notLoaded(err error) bool {
	e, ok := errors.AsType[*serverError](err)
	return ok && (e.Code == codeNotLoaded || e.Code == codeNotFullyLoaded)
}

// inspect is between the SDK and the wire: an answer that carries an error is
// one for the SDK, too, whichever of the two codes it is in.
func inspect(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := invoke(ctx, method, req, reply, cc, opts...); err != nil {
		return err
	}
	s, ok := reply.(*commonpb.Status)
	if r, has := reply.(interface{ GetStatus() *commonpb.Status }); has {
		s, ok = r.GetStatus(), true
	}
	legacy := s.GetErrorCode() //nolint:staticcheck // deprecated, and all that some servers set
	switch {
	case !ok:
		return nil
	case s == nil:
		return fmt.Errorf("%w: %s has no status", errNonsense, method)
	case s.GetCode() != 0 || legacy != commonpb.ErrorCode_Success:
		return &serverError{Code: s.GetCode(), Legacy: legacy, Reason: s.GetReason()}
	}
	if r, is := reply.(*milvuspb.QueryResults); is && len(r.GetFieldsData()) == 0 {
		return errNoRows
	}
	return nil
}

// callError is the cause of an error as the log may have it.
type callError struct {
	op, text string
	err      error // keeps its codes for errors.As
}

func (e *callError) Error() string { return "milvus " + e.op + ": " + e.text }
func (e *callError) Unwrap() error { return e.err }

// redactor returns a function that shortens a text of the server to a line and
// takes out what it must not have from us, should it echo that.
func redactor(username, password string) func(string) string {
	var pairs []string
	if password != "" {
		for _, secret := range []string{base64.StdEncoding.EncodeToString([]byte(username + ":" + password)), password} {
			pairs = append(pairs, secret, "***")
		}
	}
	secrets := strings.NewReplacer(pairs...)
	return func(text string) string {
		const most = 500 // bytes; Milvus appends stack traces
		text = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, secrets.Replace(text))
		if len(text) > most {
			text = strings.ToValidUTF8(text[:most], "") + "…"
		}
		return text
	}
}
