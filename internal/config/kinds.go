package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Bytes is a size. It reads 1048576, 10M, 10MB, 10MiB and so on; the units are
// powers of 1024, as in nginx's client_max_body_size.
type Bytes int64

// units from large to small, so that String finds the largest that divides.
var units = [...]struct {
	letter string
	size   int64
}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

// String writes the size with the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.letter + "iB"
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// ParseBytes reads what String writes, and the shorter forms.
func ParseBytes(s string) (Bytes, error) {
	num, unit := strings.ToUpper(strings.TrimSpace(s)), int64(1)
	num = strings.TrimSuffix(strings.TrimSuffix(num, "B"), "I")
	for _, u := range units {
		if rest, ok := strings.CutSuffix(num, u.letter); ok {
			num, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, errors.New("is not a size; write bytes or a unit, such as 1048576 or 10MiB")
	}
	return Bytes(n * unit), nil
}

// parsers read one setting of each type. The same ones read the file and the
// environment, so both say the same thing about a bad value. Their errors
// continue a sentence that begins with the value.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[string]():        func(s string) (any, error) { return s, nil },
		reflect.TypeFor[int]():           parseInt,
		reflect.TypeFor[float64]():       parseFloat,
		reflect.TypeFor[bool]():          parseBool,
		reflect.TypeFor[time.Duration](): parseDuration,
		reflect.TypeFor[Bytes]():         func(s string) (any, error) { return ParseBytes(s) },
		reflect.TypeFor[Secret]():        func(s string) (any, error) { return NewSecret(s), nil },
		reflect.TypeFor[[]string]():      func(s string) (any, error) { return splitList(s), nil },
		reflect.TypeFor[[]Secret]():      func(s string) (any, error) { return secrets(splitList(s)), nil },
	}
}

func parseInt(s string) (any, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("is not a whole number")
	}
	return n, nil
}

func parseFloat(s string) (any, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f { // NaN passes every bound
		return 0.0, errors.New("is not a number")
	}
	return f, nil
}

func parseBool(s string) (any, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("is neither true nor false")
}

// parseDuration is time.ParseDuration plus whole days ("7d").
func parseDuration(s string) (any, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(0), fmt.Errorf("has no unit; write %ss, %sm or %sh", s, s, s)
	}
	return time.Duration(0), errors.New("is not a duration; write 500ms, 30s, 5m, 1h or 7d")
}

// splitList reads "a, b" as two items; empty items are dropped.
func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func secrets(values []string) []Secret {
	var list []Secret
	for _, v := range values {
		list = append(list, NewSecret(v))
	}
	return list
}
