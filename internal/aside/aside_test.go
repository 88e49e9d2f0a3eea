package aside

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsToldIsHeardByTheCaller(t *testing.T) {
	t.Parallel()
	var got []int
	enough := errors.New("enough")
	Tell(func(n int) error {
		if got = append(got, n); n == 2 {
			return enough
		}
		return nil
	}, func(tell func(int) error) {
		for n := 1; ; n++ {
			if err := tell(n); err != nil {
				if !errors.Is(err, enough) {
					t.Errorf("tell = %v, want what the caller said", err)
				}
				return
			}
		}
	})
	if !slices.Equal(got, []int{1, 2}) {
		t.Errorf("heard %v", got)
	}
}

func TestAPanicGoesOnInTheCaller(t *testing.T) {
	t.Parallel()
	defer func() {
		p, ok := recover().(*Panic)
		if !ok || p.Value != "deep" || !strings.Contains(p.Error(), "aside.fall") {
			t.Errorf("recovered %v, want its value and where it was", p)
		}
	}()
	Do(func() { Do(fall) })
}

func fall() { panic("deep") }

func TestAHandlerMayAbortAside(t *testing.T) {
	t.Parallel()
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			t.Errorf("recovered %v, want it as it was", p)
		}
	}()
	Do(func() { panic(http.ErrAbortHandler) })
}

// Who listens may panic, as http handlers do to cut a connection: then f is told
// so, and has returned before the panic goes on.
func TestAPanicOfTheCallerLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	var told []error
	defer func() {
		if p := recover(); p != "cut" {
			t.Errorf("recovered %v", p)
		}
		if len(told) != 2 || told[0] == nil || told[1] == nil {
			t.Errorf("told %v, want two errors", told)
		}
	}()
	Tell(func(int) error { panic("cut") }, func(tell func(int) error) {
		told = append(told, tell(1), tell(2))
	})
}
