//! HTTP dates, in the three forms that RFC 9110, section 5.6.7, has recipients accept.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The forms: IMF-fixdate, the obsolete RFC 850 and asctime. The name of the day is not compared with the date.
const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Reads an HTTP date, as seconds since 1970-01-01 UTC. `None` if it is none.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    FORMS.iter().find_map(|form| civil(form, text))
}

fn civil(form: &str, text: &str) -> Option<i64> {
    let mut broken_down = jiff::fmt::strtime::parse(form, text).ok()?;
    // A wrong day of the week would be an error; the date alone says when.
    broken_down.set_weekday(None);
    let date: DateTime = broken_down.to_datetime().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_name_the_same_second() {
        // The examples of RFC 9110.
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn a_wrong_day_of_the_week_is_forgiven() {
        assert_eq!(parse("Mon, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let bad = [
            "",
            "Invalid Date",
            "0",
            "2024-01-01T00:00:00Z",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0200",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(second in 0_i64..4_102_444_800) {
            let zoned = jiff::Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC);
            prop_assert_eq!(parse(&zoned.strftime(FORMS[0]).to_string()), Some(second));
            prop_assert_eq!(parse(&zoned.strftime(FORMS[2]).to_string()), Some(second));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
