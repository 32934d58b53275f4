package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known also where the machine has none

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Leap days are eight years apart at most, so no further are slots looked for.
const horizonYears = 8

// A cron expression: five fields as sets of numbers. Libraries differ in what they accept and in what they do where
// the clock changes, so this one is written out.
type cron struct {
	minutes, hours, days, months, weekdays [60]bool
	anyDay, anyWeekday                     bool
	// The hour field has a star: real time is followed where the clock changes.
	realTime bool
}

type field struct {
	name      string
	low, high int
	names     []string
}

var (
	monthNames   = strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")
	weekdayNames = strings.Fields("sun mon tue wed thu fri sat")
	fields       = [5]field{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day-of-month", 1, 31, nil},
		{"month", 1, 12, monthNames}, {"day-of-week", 0, 6, weekdayNames},
	}
)

func badCron(column int, format string, values ...any) error {
	return status.Errorf(codes.InvalidArgument, "invalid cron: column %d: %s", column, fmt.Sprintf(format, values...))
}

// parseCron reads five fields; the column of a refusal counts from 1.
func parseCron(expression string) (*cron, error) {
	words := strings.Fields(expression)
	if len(words) > 0 && strings.HasPrefix(words[0], "@") {
		return nil, badCron(1, "%s is a descriptor, which is not supported; write five fields", quoted(words[0]))
	}
	if len(words) > 0 {
		upper := strings.ToUpper(words[0])
		if strings.HasPrefix(upper, "TZ=") || strings.HasPrefix(upper, "CRON_TZ=") {
			return nil, badCron(1, "%s: a zone is not part of the expression; use the timezone of the schedule", quoted(words[0]))
		}
	}
	if len(words) != len(fields) {
		return nil, status.Errorf(codes.InvalidArgument,
			"invalid cron: expected exactly 5 fields, found %d: %s", len(words), quoted(expression))
	}
	parsed := &cron{}
	sets := []*[60]bool{&parsed.minutes, &parsed.hours, &parsed.days, &parsed.months, &parsed.weekdays}
	stars := [5]bool{}
	position := 0
	for i, word := range words {
		position += strings.Index(expression[position:], word)
		for _, item := range strings.Split(word, ",") {
			isStar, err := fields[i].parseItem(item, sets[i])
			if err != nil {
				return nil, badCron(position+1, "%s %s: %s", fields[i].name, quoted(item), err)
			}
			stars[i] = stars[i] || isStar
			if i == 1 && item != "" && strings.ContainsRune("*?", rune(item[0])) {
				parsed.realTime = true
			}
			position += len(item) + 1
		}
		position--
	}
	parsed.anyDay, parsed.anyWeekday = stars[2], stars[4]
	return parsed, nil
}

// parseItem adds the values of an item of a list; it tells whether the item is a bare star.
func (f field) parseItem(item string, set *[60]bool) (bool, error) {
	if item == "" {
		return false, fmt.Errorf("an item of the list is empty")
	}
	span, stepText, hasStep := strings.Cut(item, "/")
	first, last, isStar, err := f.parseSpan(span, hasStep)
	if err != nil {
		return false, err
	}
	step := 1
	if hasStep {
		if step, err = (field{}).number(stepText); err != nil {
			return false, err
		}
		if step < 1 {
			return false, fmt.Errorf("the step must be 1 or more")
		}
	}
	if first < f.low || last > f.high {
		return false, fmt.Errorf("accepted are %d to %d", f.low, f.high)
	}
	if first > last {
		return false, fmt.Errorf("the range begins at %d, after its end %d", first, last)
	}
	for value := first; value <= last; value += min(step, 100) {
		set[value] = true
	}
	return isStar && step == 1, nil
}

func (f field) parseSpan(span string, hasStep bool) (first, last int, isStar bool, err error) {
	if span == "*" || span == "?" {
		return f.low, f.high, true, nil
	}
	from, to, isRange := strings.Cut(span, "-")
	if from == "*" || from == "?" {
		return 0, 0, false, fmt.Errorf("a star has no range")
	}
	if first, err = f.number(from); err != nil {
		return
	}
	switch {
	case isRange:
		last, err = f.number(to)
	case hasStep:
		last = f.high
	default:
		last = first
	}
	return
}

func (f field) number(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return i + f.low, nil
		}
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number", quoted(text))
	}
	return value, nil
}

func (c *cron) matchesDay(day time.Time) bool {
	if !c.months[day.Month()] {
		return false
	}
	inMonth, inWeek := c.days[day.Day()], c.weekdays[day.Weekday()]
	if c.anyDay || c.anyWeekday {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// loadZone returns the zone of an IANA name; blank is UTC.
func loadZone(name string) (string, *time.Location, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "UTC", time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return "", nil, status.Errorf(codes.InvalidArgument, "invalid timezone %s", quoted(name))
	}
	return name, zone, nil
}

// next returns the first slot later than a moment; zero where there is none within the horizon.
func (c *cron) next(zone *time.Location, after time.Time) time.Time {
	start := dateOf(after.In(zone))
	last := time.Date(start.Year()+horizonYears, 12, 31, 0, 0, 0, 0, time.UTC)
	for day := start.AddDate(0, 0, -1); !day.After(last); day = day.AddDate(0, 0, 1) {
		var found time.Time
		for _, slot := range c.slotsAround(zone, day) {
			if slot.After(after) && (found.IsZero() || slot.Before(found)) {
				found = slot
			}
		}
		if !found.IsZero() {
			return found
		}
	}
	return time.Time{}
}

// latest returns the last slot that is not later than a moment; zero where there is none within the horizon.
func (c *cron) latest(zone *time.Location, until time.Time) time.Time {
	start := dateOf(until.In(zone))
	first := time.Date(start.Year()-horizonYears, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := start.AddDate(0, 0, 1); !day.Before(first); day = day.AddDate(0, 0, -1) {
		var found time.Time
		for _, slot := range c.slotsAround(zone, day) {
			if !slot.After(until) && slot.After(found) {
				found = slot
			}
		}
		if !found.IsZero() {
			return found
		}
	}
	return time.Time{}
}

// dateOf returns a local date, as midnight in UTC.
func dateOf(local time.Time) time.Time {
	return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
}

// slotsAround returns the slots of a day that matches, and then those of its neighbours too: where the clock goes back
// across midnight, they mix.
func (c *cron) slotsAround(zone *time.Location, day time.Time) []time.Time {
	if !c.matchesDay(day) {
		return nil
	}
	var slots []time.Time
	for near := -1; near <= 1; near++ {
		if other := day.AddDate(0, 0, near); c.matchesDay(other) {
			slots = append(slots, c.slotsOf(zone, other)...)
		}
	}
	return slots
}

func (c *cron) slotsOf(zone *time.Location, day time.Time) []time.Time {
	var slots []time.Time
	for hour := 0; hour < 24; hour++ {
		for minute := 0; minute < 60 && c.hours[hour]; minute++ {
			if !c.minutes[minute] {
				continue
			}
			wall := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
			offsets := offsetsAround(zone, wall)
			shown := slices.DeleteFunc(slices.Clone(offsets), func(offset time.Duration) bool {
				return offsetAt(zone, wall.Add(-offset)) != offset
			})
			switch {
			case len(shown) == 0 && !c.realTime: // the clock skips it: the first instant after the gap
				slots = append(slots, firstAfterGap(zone, wall.Add(-slices.Max(offsets)), wall.Add(-slices.Min(offsets))))
			case len(shown) > 0:
				slots = append(slots, wall.Add(-slices.Max(shown)))
				if len(shown) > 1 && c.realTime { // the clock shows it twice
					slots = append(slots, wall.Add(-slices.Min(shown)))
				}
			}
		}
	}
	return slots
}

// offsetsAround returns the offsets that the zone has within a day of a wall time, each once.
func offsetsAround(zone *time.Location, wall time.Time) []time.Duration {
	var found []time.Duration
	for _, hours := range []time.Duration{-24, 0, 24} {
		if offset := offsetAt(zone, wall.Add(hours*time.Hour)); !slices.Contains(found, offset) {
			found = append(found, offset)
		}
	}
	return found
}

func offsetAt(zone *time.Location, moment time.Time) time.Duration {
	_, seconds := moment.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// firstAfterGap returns the first instant in (before, after] that has no longer the offset of before.
func firstAfterGap(zone *time.Location, before, after time.Time) time.Time {
	offset := offsetAt(zone, before)
	for after.Sub(before) > time.Second {
		middle := before.Add((after.Sub(before) / 2).Truncate(time.Second))
		if offsetAt(zone, middle) == offset {
			before = middle
		} else {
			after = middle
		}
	}
	return after
}
