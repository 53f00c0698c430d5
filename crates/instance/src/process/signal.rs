//! What signals are called that end programs: as Go's runtime names them, whose words Lambda's messages have.

/// The name of a signal of Linux, such as `killed`.
pub(super) fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_lambda_says() {
        for (signal, name) in [
            (6, "aborted"),
            (9, "killed"),
            (11, "segmentation fault"),
            (34, "signal 34"),
        ] {
            assert_eq!(signal_name(signal), name);
        }
    }
}
