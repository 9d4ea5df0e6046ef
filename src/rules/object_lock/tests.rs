use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = MILLISECONDS_OF_A_DAY;

fn at(time: i64) -> Moment {
    Moment { earliest: time, latest: time }
}

fn kept(mode: Mode, until: i64) -> Lock {
    Lock { retention: Some(Retention { mode, until }), legal_hold: None }
}

#[test]
fn what_holds_and_for_whom() {
    use Bypass::{Governance, Nothing};
    for (lock, bypass, holds) in [
        (Lock::default(), Nothing, false),
        (kept(Mode::Governance, NOW + 1), Nothing, true),
        (kept(Mode::Governance, NOW + 1), Governance, false),
        (kept(Mode::Governance, NOW), Nothing, false),
        (kept(Mode::Compliance, NOW + 1), Governance, true),
        (kept(Mode::Compliance, NOW), Nothing, false),
        (Lock { legal_hold: Some(true), ..Lock::default() }, Governance, true),
        (Lock { legal_hold: Some(false), ..Lock::default() }, Nothing, false),
        (Lock { legal_hold: Some(true), ..kept(Mode::Governance, NOW + 1) }, Governance, true),
    ] {
        assert_eq!(lock.holds(at(NOW), bypass), holds, "{lock:?} {bypass:?}");
    }
}

#[test]
fn a_retention_is_extended_by_anybody_and_loosened_by_few() {
    use Bypass::{Governance as Bypassing, Nothing};
    use Mode::{Compliance, Governance};
    let to = |mode, until| Some(Retention { mode, until });
    for (lock, wanted, bypass, code) in [
        (Lock::default(), to(Governance, NOW + 1), Nothing, None),
        (Lock::default(), to(Governance, NOW), Nothing, Some(Code::InvalidArgument)),
        (Lock::default(), None, Nothing, None),
        (kept(Governance, NOW + DAY), to(Governance, NOW + 2 * DAY), Nothing, None),
        (kept(Governance, NOW + DAY), to(Governance, NOW + DAY), Nothing, None),
        (kept(Governance, NOW + DAY), to(Governance, NOW + 1), Nothing, Some(Code::AccessDenied)),
        (kept(Governance, NOW + DAY), to(Governance, NOW + 1), Bypassing, None),
        (kept(Governance, NOW + DAY), to(Compliance, NOW + DAY), Nothing, Some(Code::AccessDenied)),
        (kept(Governance, NOW + DAY), to(Compliance, NOW + DAY), Bypassing, None),
        (kept(Governance, NOW + DAY), None, Nothing, Some(Code::AccessDenied)),
        (kept(Governance, NOW + DAY), None, Bypassing, None),
        (kept(Compliance, NOW + DAY), to(Compliance, NOW + 2 * DAY), Nothing, None),
        (kept(Compliance, NOW + DAY), to(Compliance, NOW + 1), Bypassing, Some(Code::AccessDenied)),
        (kept(Compliance, NOW + DAY), to(Governance, NOW + 2 * DAY), Bypassing, Some(Code::AccessDenied)),
        (kept(Compliance, NOW + DAY), None, Bypassing, Some(Code::AccessDenied)),
        (kept(Compliance, NOW), None, Nothing, None),
    ] {
        let changed = lock.with_retention(wanted, at(NOW), bypass);
        assert_eq!(changed.as_ref().err().map(|refusal| refusal.code), code, "{lock:?} {wanted:?} {bypass:?}");
        if let Ok(changed) = changed {
            assert_eq!(changed, Lock { retention: wanted, ..lock });
        }
    }
}

#[test]
fn periods_are_days_or_years_within_bounds() {
    let parse = |mode, days, years| DefaultRetention::parse(Some(mode), days, years).map_err(|refusal| refusal.code);
    let governance = |period| Ok(DefaultRetention { mode: Mode::Governance, period });
    assert_eq!(parse("GOVERNANCE", Some(1), None), governance(Period::Days(1)));
    assert_eq!(parse("GOVERNANCE", None, Some(100)), governance(Period::Years(100)));
    for (days, years) in [(Some(0), None), (Some(MAX_DAYS + 1), None), (None, Some(-1)), (None, Some(MAX_YEARS + 1))] {
        assert_eq!(parse("GOVERNANCE", days, years), Err(Code::InvalidRetentionPeriod), "{days:?} {years:?}");
    }
    for (mode, days, years) in
        [("GOVERNANCE", None, None), ("GOVERNANCE", Some(1), Some(1)), ("governance", Some(1), None)]
    {
        assert_eq!(parse(mode, days, years), Err(Code::MalformedXML), "{mode} {days:?} {years:?}");
    }
    assert!(DefaultRetention::parse(None, Some(1), None).is_err());
}

#[test]
fn a_year_is_a_calendars() {
    let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let after = |start: &str, years| {
        let default = DefaultRetention { mode: Mode::Governance, period: Period::Years(years) };
        default.from(at(time(start))).until
    };
    assert_eq!(after("2023-11-14T22:13:20Z", 1), time("2024-11-14T22:13:20Z"));
    assert_eq!(after("2024-02-29T00:00:00Z", 1), time("2025-02-28T00:00:00Z"));
    let days = DefaultRetention { mode: Mode::Compliance, period: Period::Days(2) };
    assert_eq!(
        days.from(Moment { earliest: 0, latest: NOW }),
        Retention { mode: Mode::Compliance, until: NOW + 2 * DAY }
    );
}

#[test]
fn what_headers_may_say() {
    let code = |mode, until, hold| of_new_version(mode, until, hold, at(NOW)).map_err(|refusal| refusal.code);
    assert_eq!(code(None, None, None), Ok(Lock::default()));
    assert_eq!(code(Some("COMPLIANCE"), Some(NOW + 1), None), Ok(kept(Mode::Compliance, NOW + 1)));
    assert_eq!(code(None, None, Some("ON")), Ok(Lock { retention: None, legal_hold: Some(true) }));
    for (mode, until, hold) in [
        (Some("GOVERNANCE"), None, None),
        (None, Some(NOW + 1), None),
        (Some("governance"), Some(NOW + 1), None),
        (Some("GOVERNANCE"), Some(NOW), None),
        (None, None, Some("on")),
    ] {
        assert_eq!(code(mode, until, hold), Err(Code::InvalidArgument), "{mode:?} {until:?} {hold:?}");
    }
}

#[test]
fn a_bucket_gives_what_a_version_does_not_say() {
    let default = Some(DefaultRetention { mode: Mode::Governance, period: Period::Days(1) });
    assert_eq!(Lock::default().or_default(default, at(NOW)), kept(Mode::Governance, NOW + DAY));
    assert_eq!(kept(Mode::Compliance, NOW + 1).or_default(default, at(NOW)), kept(Mode::Compliance, NOW + 1));
    assert_eq!(Lock::default().or_default(None, at(NOW)), Lock::default());
}

proptest! {
    /// Without a bypass, whatever is asked for: what held before holds afterwards, and no less long.
    #[test]
    fn nothing_that_holds_is_loosened_without_a_bypass(
        mode in prop_oneof![Just(Mode::Governance), Just(Mode::Compliance)],
        until in NOW - DAY..NOW + DAY,
        wanted in proptest::option::of((any::<bool>(), NOW - DAY..NOW + DAY)),
        behind in 0..DAY,
        bypass in prop_oneof![Just(Bypass::Nothing), Just(Bypass::Governance)],
    ) {
        let now = Moment { earliest: NOW - behind, latest: NOW };
        let lock = kept(mode, until);
        let wanted = wanted.map(|(governance, until)| {
            Retention { mode: if governance { Mode::Governance } else { Mode::Compliance }, until }
        });
        if let Ok(changed) = lock.with_retention(wanted, now, bypass)
            && lock.holds(now, bypass)
        {
            let retention = changed.retention.expect("still retained");
            prop_assert!(retention.until >= until && retention.mode == mode);
        }
    }
}
